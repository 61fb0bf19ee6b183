// 16 entries of a table in Thumb-2: three instructions for two words. GCC finds no strd here, and too few registers.

#define ENTRY(p) "strd %[n0], %[n1], [%[to], #8*" #p "]\n"
#define PLUS(a, b) "add %[n0], %[n0], %[" #a "]\n add %[n1], %[n1], %[" #b "]\n"
#define LESS(a, b) "sub %[n0], %[n0], %[" #a "]\n sub %[n1], %[n1], %[" #b "]\n"

static inline void ebnn_build_entries(uint32_t *to, const ebnn_steps_t *a, const ebnn_steps_t *b) {
    uint32_t n0 = a->none, n1 = b->none;
    // clang-format off
    __asm__ volatile(
        ENTRY(0) PLUS(a0, b0) ENTRY(1) PLUS(a1, b1) ENTRY(3) LESS(a0, b0) ENTRY(2)
        PLUS(a2, b2) ENTRY(6) PLUS(a0, b0) ENTRY(7) LESS(a1, b1) ENTRY(5) LESS(a0, b0) ENTRY(4)
        PLUS(a3, b3) ENTRY(12) PLUS(a0, b0) ENTRY(13) PLUS(a1, b1) ENTRY(15) LESS(a0, b0) ENTRY(14)
        LESS(a2, b2) ENTRY(10) PLUS(a0, b0) ENTRY(11) LESS(a1, b1) ENTRY(9) LESS(a0, b0) ENTRY(8)
        : [n0] "+r"(n0), [n1] "+r"(n1)
        : [to] "r"(to), [a0] "r"(a->bit[0]), [a1] "r"(a->bit[1]), [a2] "r"(a->bit[2]), [a3] "r"(a->bit[3]),
          [b0] "r"(b->bit[0]), [b1] "r"(b->bit[1]), [b2] "r"(b->bit[2]), [b3] "r"(b->bit[3])
        : "memory");
    // clang-format on
}
#undef ENTRY
#undef PLUS
#undef LESS
