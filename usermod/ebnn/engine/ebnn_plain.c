// The plain kernels, which serve every node: gather the taps of a position, then sum filter by filter. And the choice
// of the kernel.

#include "ebnn_core.h"

// The part of a kernel's width that lies inside of the input: taps first .. last - 1.
typedef struct {
    int32_t first, last;
} taps_t;

static taps_t inside(int32_t start, int32_t kernel, int32_t size) {
    taps_t span = { start < 0 ? -start : 0, size - start < kernel ? size - start : kernel };
    if (span.last < span.first) {
        span.last = span.first;
    }
    return span;
}

static void set_border(const ebnn_run_t *run, uint8_t *patch, uint32_t tap, uint32_t count) {
    for (uint32_t end = tap + count; tap < end; tap++) {
        for (uint32_t c = 0; c < run->in->channels; c++) {
            uint32_t bit = tap * run->in_stride + c;
            patch[bit / 8] = (uint8_t)(patch[bit / 8] | 1U << (bit & 7));
        }
    }
}

// One row of a kernel of a bits source -> the patch, which starts as all zeros.
static void gather_bits(const ebnn_run_t *run, uint8_t *patch, uint32_t ky, int32_t y, int32_t x) {
    uint32_t width = run->node->kernel.width, tap = ky * width, stride = run->in_stride;
    taps_t cols = { 0, 0 };
    if (y >= 0 && y < run->in->height) {
        cols = inside(x, (int32_t)width, run->in->width);
        uint32_t pixel = (uint32_t)(y * run->in->width + x + cols.first);
        uint32_t to = (tap + (uint32_t)cols.first) * stride, count = (uint32_t)(cols.last - cols.first) * stride;
        ebnn_copy_bits(patch, to, run->input, pixel * stride, count);
    }
    if (run->node->flags & EBNN_FLAG_BORDER_PLUS) {
        set_border(run, patch, tap, (uint32_t)cols.first);
        set_border(run, patch, tap + (uint32_t)cols.last, width - (uint32_t)cols.last);
    }
}

// The same for a byte source; the patch starts as all border.
static void gather_u8(const ebnn_run_t *run, uint8_t *patch, uint32_t ky, int32_t y, int32_t x) {
    uint32_t channels = run->in->channels, width = run->node->kernel.width;
    if (y < 0 || y >= run->in->height) {
        return;
    }
    taps_t cols = inside(x, (int32_t)width, run->in->width);
    uint32_t pixel = (uint32_t)(y * run->in->width + x + cols.first);
    memmove(patch + (ky * width + (uint32_t)cols.first) * channels, run->input + pixel * channels,
        (uint32_t)(cols.last - cols.first) * channels);
}

void ebnn_gather(const ebnn_run_t *run, const ebnn_cursor_t *cursor, uint8_t *patch) {
    const ebnn_node_t *node = run->node;
    int32_t y = (int32_t)(cursor->y * node->kernel.stride_h) - node->kernel.top;
    int32_t x = (int32_t)(cursor->x * node->kernel.stride_w) - node->kernel.left;
    if (node->input == EBNN_DTYPE_BITS) {
        memset(patch, 0, 4 * node->row_words);
        for (uint32_t ky = 0; ky < node->kernel.height; ky++) {
            gather_bits(run, patch, ky, y + (int32_t)ky, x);
        }
    } else {
        memset(patch, node->flags & EBNN_FLAG_BORDER_PLUS ? 255 : 0, node->taps);
        for (uint32_t ky = 0; ky < node->kernel.height; ky++) {
            gather_u8(run, patch, ky, y + (int32_t)ky, x);
        }
    }
}

#ifdef EBNN_HAS_POPCOUNT
static uint32_t count_mismatches(const uint32_t *x, const uint32_t *w, uint32_t words) {
    uint32_t mismatches = 0;
    for (uint32_t i = 0; i < words; i++) {
        mismatches += (uint32_t)__builtin_popcount(x[i] ^ w[i]);
    }
    return mismatches;
}
#else
// Ones of a word, counted in each nibble.
static inline uint32_t nibble_counts(uint32_t x) {
    x -= x >> 1 & 0x55555555UL;
    return (x & 0x33333333UL) + (x >> 2 & 0x33333333UL);
}

static inline uint32_t byte_counts(uint32_t n) {
    return (n & 0x0f0f0f0fU) + (n >> 4 & 0x0f0f0f0fU);
}

static inline uint32_t sum_bytes(uint32_t bytes) {
    bytes = (bytes & 0x00ff00ffU) + (bytes >> 8 & 0x00ff00ffU);
    return (bytes & 0xffff) + (bytes >> 16);
}

// Add two words bit by bit to a column of ones; what it gives is the carry.
static inline uint32_t carry_save(uint32_t *ones, uint32_t a, uint32_t b) {
    uint32_t u = *ones ^ a, carry = (*ones & a) | (u & b);
    *ones = u ^ b;
    return carry;
}

#define BITS(i) (x[i] ^ w[i])

// Harley and Seal: eight words become one that counts eight each, and columns of ones, twos and fours.
static uint32_t count_eights(const uint32_t *x, const uint32_t *w, uint32_t words) {
    uint32_t ones = 0, twos = 0, fours = 0, mismatches = 0;
    for (const uint32_t *end = x + words; x != end; x += 8, w += 8) {
        uint32_t two_a = carry_save(&ones, BITS(0), BITS(1)), two_b = carry_save(&ones, BITS(2), BITS(3));
        uint32_t four_a = carry_save(&twos, two_a, two_b);
        two_a = carry_save(&ones, BITS(4), BITS(5));
        two_b = carry_save(&ones, BITS(6), BITS(7));
        uint32_t four_b = carry_save(&twos, two_a, two_b);
        mismatches += 8 * sum_bytes(byte_counts(nibble_counts(carry_save(&fours, four_a, four_b))));
    }
    uint32_t bytes = byte_counts(nibble_counts(ones)) + 2 * byte_counts(nibble_counts(twos));
    return mismatches + sum_bytes(bytes + 4 * byte_counts(nibble_counts(fours)));
}

static uint32_t count_mismatches(const uint32_t *x, const uint32_t *w, uint32_t words) {
    uint32_t eights = words / 8 * 8, mismatches = 0, bytes = 0;
    if (eights >= 16) { // the columns cost too much for less
        mismatches = count_eights(x, w, eights);
        x += eights;
        w += eights;
        words -= eights;
    }
    for (; words >= 3; words -= 3, x += 3, w += 3) { // a nibble holds the counts of 3 words
        bytes += byte_counts(nibble_counts(BITS(0)) + nibble_counts(BITS(1)) + nibble_counts(BITS(2)));
    }
    for (; words != 0; words--, x++, w++) {
        bytes += byte_counts(nibble_counts(BITS(0)));
    }
    return mismatches + sum_bytes(bytes);
}
#undef BITS
#endif

// Sum of w * x over bits: taps that agree minus taps that do not. Both operands are aligned.
static int32_t sum_bits(const ebnn_node_t *node, const void *patch, const void *row) {
    return (int32_t)(node->taps - 2 * count_mismatches(patch, row, node->row_words));
}

// Sum of w * x over bytes.
static int32_t sum_u8(const ebnn_node_t *node, const uint8_t *x, const uint8_t *w) {
    uint32_t plus = 0, all = 0, left = node->taps, bits;
#define ADD(i) (all += x[i], plus += x[i] & (uint32_t)((int32_t)(bits << (31 - (i))) >> 31))
    for (; left >= 8; left -= 8, x += 8) {
        bits = *w++;
        ADD(0), ADD(1), ADD(2), ADD(3), ADD(4), ADD(5), ADD(6), ADD(7);
    }
    for (bits = left != 0 ? *w : 0; left != 0; left--, x++, bits >>= 1) {
        ADD(0);
    }
#undef ADD
    return (int32_t)(2 * plus - all);
}

int32_t ebnn_filter_sum(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter) {
    const ebnn_node_t *node = run->node;
    const uint8_t *row = run->weights + 4 * node->row_words * filter;
    return node->input == EBNN_DTYPE_BITS ? sum_bits(node, patch, row) : sum_u8(node, patch, row);
}

#ifdef EBNN_HAS_POPCOUNT
// Hits of two filters of bits, which share the loads of the patch.
static uint32_t hit_pair(const ebnn_run_t *run, const void *patch, uint32_t filter) {
    uint32_t words = run->node->row_words, a = 0, b = 0, left = words;
    const uint32_t *x = patch, *v = (const uint32_t *)(const void *)run->weights + words * filter, *w = v + words;
#define COUNT(i) (a += (uint32_t)__builtin_popcount(x[i] ^ v[i]), b += (uint32_t)__builtin_popcount(x[i] ^ w[i]))
    for (; left >= 4; left -= 4, x += 4, v += 4, w += 4) {
        COUNT(0), COUNT(1), COUNT(2), COUNT(3);
    }
    for (; left != 0; left--, x++, v++, w++) {
        COUNT(0);
    }
#undef COUNT
    uint32_t first = (int32_t)(run->node->taps - 2 * a) >= ebnn_number(run->node, run->numbers, filter);
    uint32_t second = (int32_t)(run->node->taps - 2 * b) >= ebnn_number(run->node, run->numbers, filter + 1);
    return first | second << 1;
}
#endif

uint32_t ebnn_hit_bits(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, uint32_t count) {
    uint32_t bits = 0, i = 0;
#ifdef EBNN_HAS_POPCOUNT
    for (; run->node->input == EBNN_DTYPE_BITS && i + 2 <= count; i += 2) {
        bits |= hit_pair(run, patch, filter + i) << i;
    }
#endif
    for (; i < count; i++) {
        int32_t acc = ebnn_filter_sum(run, patch, filter + i);
        bits |= (uint32_t)(acc >= ebnn_number(run->node, run->numbers, filter + i)) << i;
    }
    return bits;
}

static uint32_t plain_scratch(const ebnn_node_t *node) {
    if (node->source == EBNN_SOURCE_CONV && node->input == EBNN_DTYPE_U8) {
        return (node->taps + 3) / 4 * 4;
    }
    int gathers = node->source == EBNN_SOURCE_CONV || (node->source == EBNN_SOURCE_DENSE && node->from == 0);
    return gathers && node->input == EBNN_DTYPE_BITS ? 4 * node->row_words : 0;
}

void ebnn_plain_run(const ebnn_run_t *run, const ebnn_cursor_t *first) {
    ebnn_gather(run, first, run->scratch);
    for (uint32_t f = 0; f < run->node->filters; f += 32) {
        ebnn_emit(run, first, f, ebnn_hit_bits(run, run->scratch, f, ebnn_block(run->node->filters, f)));
    }
}

int ebnn_choose_kernel(const ebnn_node_t *node) {
    if (node->source == EBNN_SOURCE_POOL) {
        return EBNN_KERNEL_POOL;
    }
#ifndef EBNN_HAS_POPCOUNT // which takes fewer instructions than lanes do
    if (ebnn_lanes_scratch(node) <= node->scratch_size) {
        return EBNN_KERNEL_LANES;
    }
#endif
    if (ebnn_bytes_scratch(node) <= node->scratch_size) {
        return EBNN_KERNEL_BYTES;
    }
    return plain_scratch(node) <= node->scratch_size ? EBNN_KERNEL_PLAIN : EBNN_E_ARENA;
}
