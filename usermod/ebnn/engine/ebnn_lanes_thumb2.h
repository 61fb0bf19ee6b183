// The inner loop of ebnn_lanes.c for Thumb-2: five instructions for four taps of 16 positions. No r7, which is the frame
// pointer where there is one.

#define ENTRY(shift) "ubfx %[x], %[w], #" #shift ", #4\n add %[x], %[t], %[x], lsl #3\n"
#define FIRST(shift, offset) ENTRY(shift) "ldrd %[n0], %[n1], [%[x], #" #offset "]\n"
#define NEXT(shift, offset) \
    ENTRY(shift) "ldrd %[x], %[y], [%[x], #" #offset "]\n add %[n0], %[n0], %[x]\n add %[n1], %[n1], %[y]\n"
// Nibbles to bytes: what is left after the even nibbles are taken out are the odd ones.
#define WIDEN \
    "and %[x], %[n0], #0x0f0f0f0f\n" \
    "and %[y], %[n1], #0x0f0f0f0f\n" \
    "add %[a0], %[a0], %[x]\n eor %[n0], %[n0], %[x]\n" \
    "add %[a2], %[a2], %[y]\n eor %[n1], %[n1], %[y]\n" \
    "add %[a1], %[a1], %[n0], lsr #4\n add %[a3], %[a3], %[n1], lsr #4\n"
// Bytes to 16 bits, added to two words of sums.
#ifdef __ARM_FEATURE_DSP
#define ADD(a, offset) \
    "ldrd %[n0], %[n1], [%[s], #" #offset "]\n" \
    "uxtab16 %[n0], %[n0], %[" #a "]\n uxtab16 %[n1], %[n1], %[" #a "], ror #8\n" \
    "strd %[n0], %[n1], [%[s], #" #offset "]\n"
#else
#define ADD(a, offset) \
    "ldrd %[n0], %[n1], [%[s], #" #offset "]\n" \
    "and %[x], %[" #a "], #0x00ff00ff\n eor %[" #a "], %[" #a "], %[x]\n" \
    "add %[n0], %[n0], %[x]\n add %[n1], %[n1], %[" #a "], lsr #8\n" \
    "strd %[n0], %[n1], [%[s], #" #offset "]\n"
#endif

static inline void add_filter(const uint32_t *w, const uint32_t *table, const uint32_t *end, uint32_t *sums) {
    uint32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, bits, n0, n1, x, y;
    // clang-format off
    __asm__ volatile(
        "1: ldr %[w], [%[wp]], #4\n"
        FIRST(0, 0) NEXT(4, 128) NEXT(8, 256) WIDEN
        FIRST(12, 384) NEXT(16, 512) NEXT(20, 640) WIDEN
        FIRST(24, 768) NEXT(28, 896) WIDEN
        "add %[t], %[t], #1024\n"
        "cmp %[t], %[end]\n"
        "bne 1b\n"
        : [wp] "+r"(w), [t] "+r"(table), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3),
          [w] "=&r"(bits), [n0] "=&r"(n0), [n1] "=&r"(n1), [x] "=&r"(x), [y] "=&r"(y)
        : [end] "r"(end)
        : "cc", "memory");
    __asm__ volatile(
        ADD(a0, 0) ADD(a1, 8) ADD(a2, 16) ADD(a3, 24)
        : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [n0] "=&r"(n0), [n1] "=&r"(n1), [x] "=&r"(x)
        : [s] "r"(sums)
        : "memory");
    // clang-format on
}
#undef ADD
#undef ENTRY
#undef FIRST
#undef NEXT
#undef WIDEN
