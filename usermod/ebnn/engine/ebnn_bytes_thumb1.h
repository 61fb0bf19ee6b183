// Sums of all filters over 16 taps for ebnn_bytes.c in Thumb-1: seven instructions for four taps of 4 positions. No r7,
// which is the frame pointer where there is one; the asm gives back lr, in which the next weights are.

// r2, r3: sums, r4: table, r5: weights, r6: mask of an index, r12: end of the sums.
#define LOOK_UP(by, shift) \
    #by " r0, r5, #" #shift "\n ands r0, r6\n adds r0, r4\n ldm r0, {r0, r1}\n" \
        "adds r2, r0\n adds r3, r1\n"

static void add_byte_filters(const ebnn_chunk_t *chunk) {
    register const void *p __asm__("r0") = chunk;
    // clang-format off
    __asm__ volatile(
        ".syntax unified\n"
        "ldm r0!, {r1-r5}\n push {r2, r3, r5}\n push {lr}\n" // 4: table, 8: sums, 12: next
        "mov lr, r1\n mov r12, r4\n movs r6, #0x78\n"
        "1: mov r0, lr\n ldrh r5, [r0]\n ldr r1, [sp, #12]\n add lr, r1\n"
        "ldr r0, [sp, #8]\n ldm r0!, {r2, r3}\n ldr r4, [sp, #4]\n"
        LOOK_UP(lsls, 3) "adds r4, #128\n" LOOK_UP(lsrs, 1) "adds r4, #128\n"
        LOOK_UP(lsrs, 5) "adds r4, #128\n" LOOK_UP(lsrs, 9)
        "ldr r0, [sp, #8]\n stm r0!, {r2, r3}\n str r0, [sp, #8]\n"
        "cmp r0, r12\n bne 1b\n"
        "pop {r0}\n mov lr, r0\n add sp, #12\n"
        : "+r"(p)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r12", "cc", "memory");
    // clang-format on
}
#undef LOOK_UP
