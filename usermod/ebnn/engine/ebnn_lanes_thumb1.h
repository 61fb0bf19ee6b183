// The inner loop of ebnn_lanes.c for Thumb-1: seven instructions for four taps of 16 positions. Low registers are scarce:
// the sums lie in high ones, and none is r7, which is the frame pointer where there is one.

#define FIND(x, by, shift) #by " " #x ", %[w], #" #shift "\n ands " #x ", %[mask]\n adds " #x ", %[t]\n"
#define FIRST(by, shift) FIND(r0, by, shift) "ldm r0, {r0, r1}\n adds %[t], #128\n"
#define NEXT(by, shift) FIND(r2, by, shift) "ldm r2, {r2, r3}\n adds r0, r2\n adds r1, r3\n adds %[t], #128\n"
// Nibbles to bytes: what is left after the even nibbles are taken out are the odd ones.
#define WIDEN                                                                         \
    "mov r2, %[nibbles]\n mov r3, %[nibbles]\n ands r2, r0\n ands r3, r1\n"           \
    "add %[a0], r2\n add %[a2], r3\n eors r0, r2\n eors r1, r3\n"                     \
    "lsrs r0, #4\n lsrs r1, #4\n add %[a1], r0\n add %[a3], r1\n"

static inline const uint32_t *add_word(uint32_t bits, const uint32_t *table, uint32_t a[4]) {
    // clang-format off
    __asm__(
        ".syntax unified\n"
        FIRST(lsls, 3) NEXT(lsrs, 1) NEXT(lsrs, 5) WIDEN
        FIRST(lsrs, 9) NEXT(lsrs, 13) NEXT(lsrs, 17) WIDEN
        FIRST(lsrs, 21) NEXT(lsrs, 25) WIDEN
        : [t] "+l"(table), [a0] "+h"(a[0]), [a1] "+h"(a[1]), [a2] "+h"(a[2]), [a3] "+h"(a[3])
        : [w] "l"(bits), [mask] "l"(0x78), [nibbles] "h"(0x0f0f0f0fUL)
        : "r0", "r1", "r2", "r3", "cc", "memory");
    // clang-format on
    return table;
}
