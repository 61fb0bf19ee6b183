// Sums of all filters over a chunk for ebnn_lanes.c in Thumb-1: seven instructions for four taps of 16 positions. The
// asm gives back what it takes besides its clobbers, because GCC does not know high registers with -Os. No r7, which is
// the frame pointer where there is one.

// r4: table, r5: weights, r6: mask of an index, r8 to r11: sums in bytes, r12: mask of nibbles, lr: next weights.
#define FIND(x, by, shift) #by " " #x ", r5, #" #shift "\n ands " #x ", r6\n adds " #x ", r4\n"
#define FIRST(by, shift) FIND(r0, by, shift) "ldm r0, {r0, r1}\n adds r4, #128\n"
#define NEXT(by, shift) FIND(r2, by, shift) "ldm r2, {r2, r3}\n adds r0, r2\n adds r1, r3\n adds r4, #128\n"
// Nibbles to bytes: what is left after the even nibbles are taken out are the odd ones.
#define WIDEN \
    "mov r2, r12\n mov r3, r12\n ands r2, r0\n ands r3, r1\n" \
    "add r8, r2\n add r10, r3\n eors r0, r2\n eors r1, r3\n" \
    "lsrs r0, #4\n lsrs r1, #4\n add r9, r0\n add r11, r1\n"
// Bytes to 16 bits, added to the next two words of sums.
#define ADD(a) \
    "ldr r0, [r4]\n ldr r1, [r4, #4]\n mov r2, r6\n mov r3, " #a "\n ands r2, r3\n" \
    "eors r3, r2\n lsrs r3, #8\n adds r0, r2\n adds r1, r3\n stm r4!, {r0, r1}\n"

static void add_lane_filters(const ebnn_chunk_t *chunk) {
    register const void *p __asm__("r0") = chunk;
    // clang-format off
    __asm__ volatile(
        ".syntax unified\n"
        "mov r1, r8\n mov r2, r9\n mov r3, r10\n mov r4, r11\n push {r1-r4, lr}\n"
        "ldm r0!, {r1-r6}\n push {r1-r6}\n" // 0: weights, 4: table, 8: sums, 12: their end, 16: next, 20: end of table
        "mov lr, r1\n"
        "movs r0, #15\n lsls r1, r0, #8\n orrs r0, r1\n lsls r1, r0, #16\n orrs r0, r1\n mov r12, r0\n"
        "1: movs r0, #0\n mov r8, r0\n mov r9, r0\n mov r10, r0\n mov r11, r0\n"
        "movs r6, #0x78\n ldr r4, [sp, #4]\n"
        "2: mov r0, lr\n ldm r0!, {r5}\n mov lr, r0\n"
        FIRST(lsls, 3) NEXT(lsrs, 1) NEXT(lsrs, 5) WIDEN
        FIRST(lsrs, 9) NEXT(lsrs, 13) NEXT(lsrs, 17) WIDEN
        FIRST(lsrs, 21) NEXT(lsrs, 25) WIDEN
        "ldr r0, [sp, #20]\n cmp r4, r0\n bne 2b\n"
        "movs r6, #255\n lsls r0, r6, #16\n orrs r6, r0\n ldr r4, [sp, #8]\n"
        ADD(r8) ADD(r9) ADD(r10) ADD(r11)
        "str r4, [sp, #8]\n ldr r0, [sp, #16]\n add lr, r0\n ldr r0, [sp, #12]\n cmp r4, r0\n beq 3f\n b 1b\n"
        "3: add sp, #24\n pop {r1-r4}\n mov r8, r1\n mov r9, r2\n mov r10, r3\n mov r11, r4\n pop {r0}\n mov lr, r0\n"
        : "+r"(p)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r12", "cc", "memory");
    // clang-format on
}
#undef ADD
#undef FIND
#undef FIRST
#undef NEXT
#undef WIDEN
