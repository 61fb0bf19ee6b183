// The inner loop of ebnn_bytes.c for Thumb-2: five instructions for four taps of 4 positions.

#define LOOK_UP(shift, offset) \
    "ubfx %[x], %[w], #" #shift ", #4\n add %[x], %[t], %[x], lsl #3\n" \
    "ldrd %[x], %[y], [%[x], #" #offset "]\n" \
    "add %[a0], %[a0], %[x]\n add %[a1], %[a1], %[y]\n"

static inline void sum_chunk(const uint16_t *w, const uint32_t *table, const uint32_t *end, uint32_t sum[2]) {
    uint32_t a0 = sum[0], a1 = sum[1], bits, x, y;
    // clang-format off
    __asm__ volatile(
        "1: ldrh %[w], [%[wp]], #2\n"
        LOOK_UP(0, 0) LOOK_UP(4, 128) LOOK_UP(8, 256) LOOK_UP(12, 384)
        "add %[t], %[t], #512\n"
        "cmp %[t], %[end]\n"
        "bne 1b\n"
        : [wp] "+r"(w), [t] "+r"(table), [a0] "+r"(a0), [a1] "+r"(a1), [w] "=&r"(bits), [x] "=&r"(x), [y] "=&r"(y)
        : [end] "r"(end)
        : "cc", "memory");
    // clang-format on
    sum[0] = a0;
    sum[1] = a1;
}
