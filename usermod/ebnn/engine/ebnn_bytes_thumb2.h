// The inner loop of ebnn_bytes.c for Thumb-2: five instructions for four taps of 4 positions. No r7, which is the frame
// pointer where there is one.

#define LOOK_UP(shift, offset) \
    "ubfx %[x], %[w], #" #shift ", #4\n add %[x], %[t], %[x], lsl #3\n" \
    "ldrd %[x], %[y], [%[x], #" #offset "]\n" \
    "add %[a0], %[a0], %[x]\n add %[a1], %[a1], %[y]\n"

static inline void add_byte_filters(const ebnn_chunk_t *chunk) {
    const void *w = chunk->weights;
    uint32_t *sums = chunk->sums, bits, a0, a1, x, y;
    // clang-format off
    __asm__ volatile(
        "1: ldrh %[w], [%[p]]\n add %[p], %[p], %[next]\n"
        "ldrd %[a0], %[a1], [%[s]]\n"
        LOOK_UP(0, 0) LOOK_UP(4, 128) LOOK_UP(8, 256) LOOK_UP(12, 384)
        "strd %[a0], %[a1], [%[s]], #8\n"
        "cmp %[s], %[end]\n"
        "bne 1b\n"
        : [p] "+r"(w), [s] "+r"(sums), [a0] "=&r"(a0), [a1] "=&r"(a1), [w] "=&r"(bits), [x] "=&r"(x), [y] "=&r"(y)
        : [t] "r"(chunk->table), [end] "r"(chunk->last), [next] "r"(chunk->next)
        : "cc", "memory");
    // clang-format on
}
#undef LOOK_UP
