// Shared by the engine's own files only.
#ifndef EBNN_CORE_H
#define EBNN_CORE_H

#include <string.h>

#include "ebnn.h"

enum { EBNN_SOURCE_CONV, EBNN_SOURCE_DENSE, EBNN_SOURCE_POOL };

// Bits that a pixel takes: channels rounded up to 1, 2, 4, 8, 16 or a multiple of 32.
static inline uint32_t ebnn_pixel_stride(uint32_t channels) {
    uint32_t stride = 1;
    while (stride < channels && stride < 32) {
        stride *= 2;
    }
    return stride < 32 ? stride : (channels + 31) / 32 * 32;
}

// Value 0 is the input, value k the output of node k - 1.
static inline const ebnn_value_t *ebnn_value(const ebnn_t *net, const ebnn_node_t *nodes, uint32_t id) {
    return id == 0 ? &net->input : &nodes[id - 1].output;
}

// Threshold or offset of a filter; `numbers` is aligned to 2, or 4 where they are wide.
static inline int32_t ebnn_number(const ebnn_node_t *node, const uint8_t *numbers, uint32_t filter) {
    const uint8_t *p = numbers + filter * (node->flags & EBNN_FLAG_WIDE ? 4 : 2);
    uint32_t low = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    if (node->flags & EBNN_FLAG_WIDE) {
        return (int32_t)(low | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    }
    return (int16_t)low;
}

// Bytes that a value takes in memory.
uint32_t ebnn_value_size(const ebnn_value_t *value);

// Everything that the kernels of one node share.
typedef struct {
    const ebnn_node_t *node;
    const ebnn_value_t *in;
    const uint8_t *input;
    uint8_t *out;
    uint8_t *scratch;
    const uint8_t *weights;
    const uint8_t *numbers;
    const uint8_t *flips;
    uint32_t in_stride; // bits of an input pixel
    uint32_t out_stride; // bits of an output pixel
    const ebnn_job_t *job;
} ebnn_run_t;

// The outputs first .. last whose windows hold a position, empty where first > last; and the positions where the window
// behind the last one begins and where the first one ends.
typedef struct {
    int32_t first, last, enter, leave;
} ebnn_span_t;

// A position of a map before the pool, with the outputs whose pool windows hold it.
typedef struct {
    uint32_t y, x;
    ebnn_span_t rows, cols;
} ebnn_cursor_t;

// Move on to the next position that some window holds; 0 at the end of the map.
int ebnn_cursor_next(const ebnn_run_t *run, ebnn_cursor_t *cursor);

// OR the bits of channels `channel` and up at one position into every output whose window holds it.
void ebnn_emit(const ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t channel, uint32_t bits);

// Kernels in the order of preference; the plain one serves every node with the scratch of docs/SPEC.md, section 5. They
// are no table of pointers, because a native module cannot hold constant pointers.
enum { EBNN_KERNEL_LANES, EBNN_KERNEL_BYTES, EBNN_KERNEL_PLAIN, EBNN_KERNEL_POOL };

// The first kernel whose scratch fits into that of the node, or EBNN_E_ARENA.
int ebnn_choose_kernel(const ebnn_node_t *node);

// A chunk of the words of weights, for which a kernel adds to the sums of every filter what its table says.
typedef struct {
    const void *weights; // of the first filter
    const uint32_t *table, *end;
    uint32_t *sums, *last;
    uint32_t skip; // bytes between a filter's chunk and that of the next one
} ebnn_chunk_t;

// What a word of the 16 entries of a table adds up from: pattern 0, and what each bit of a pattern changes.
typedef struct {
    uint32_t none, bit[4];
} ebnn_steps_t;

// Two words an entry, one entry for each pattern; in the order of a Gray code one bit changes at a time.
static inline void ebnn_build_entries(uint32_t *to, const ebnn_steps_t *a, const ebnn_steps_t *b) {
    uint32_t n0 = a->none, n1 = b->none;
#define ENTRY(p) (to[2 * (p)] = n0, to[2 * (p) + 1] = n1)
#define PLUS(i) (n0 += a->bit[i], n1 += b->bit[i])
#define LESS(i) (n0 -= a->bit[i], n1 -= b->bit[i])
    ENTRY(0), PLUS(0), ENTRY(1), PLUS(1), ENTRY(3), LESS(0), ENTRY(2), PLUS(2), ENTRY(6), PLUS(0), ENTRY(7);
    LESS(1), ENTRY(5), LESS(0), ENTRY(4), PLUS(3), ENTRY(12), PLUS(0), ENTRY(13), PLUS(1), ENTRY(15), LESS(0);
    ENTRY(14), LESS(2), ENTRY(10), PLUS(0), ENTRY(11), LESS(1), ENTRY(9), LESS(0), ENTRY(8);
#undef ENTRY
#undef PLUS
#undef LESS
}

// ebnn_bytes.c; the scratch in bytes, UINT32_MAX where the kernel is not made for the node
uint32_t ebnn_bytes_scratch(const ebnn_node_t *node);
void ebnn_bytes_run(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count);

// ebnn_lanes.c, likewise
uint32_t ebnn_lanes_scratch(const ebnn_node_t *node);
void ebnn_lanes_run(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count);

// ebnn_plain.c
void ebnn_plain_run(const ebnn_run_t *run, const ebnn_cursor_t *first);

// The sum of one filter over a patch that lies as the filter does.
int32_t ebnn_filter_sum(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter);

// Hits of `count` filters, at most 32, from `filter` on, as bits.
uint32_t ebnn_hit_bits(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, uint32_t count);

// All taps of the kernel at a position -> a patch.
void ebnn_gather(const ebnn_run_t *run, const ebnn_cursor_t *cursor, uint8_t *patch);

// A word of bits as the memory has it, or back: bit 0 comes first on either byte order.
static inline uint32_t ebnn_word(const uint32_t *w) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap32(*w);
#else
    return *w;
#endif
}

// Combine up to 32 bits into a map at bit `place`: OR, or XOR.
static inline void ebnn_put_bits(uint8_t *map, uint32_t place, uint32_t bits, int toggle) {
    uint8_t *p = map + place / 8;
    if (place % 32 == 0 && bits >> 24 != 0) {
        uint32_t *word = (uint32_t *)(void *)p; // maps are aligned
        bits = ebnn_word(&bits);
        *word = toggle ? *word ^ bits : *word | bits;
        return;
    }
    // Only pixel strides below 8 start inside of a byte, and they do not leave it.
    bits <<= place % 8;
    for (; bits != 0; bits >>= 8, p++) {
        *p = (uint8_t)(toggle ? *p ^ bits : *p | bits);
    }
}

static inline uint32_t ebnn_get_bits(const uint8_t *map, uint32_t place, uint32_t count) {
    const uint8_t *p = map + place / 8;
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; i += 8) {
        bits |= (uint32_t)*p++ << i;
    }
    bits >>= place % 8;
    return bits & UINT32_MAX >> (32 - count);
}

// OR bits of one map into another that is 0 there.
static inline void ebnn_copy_bits(uint8_t *to, uint32_t to_bit, const uint8_t *from, uint32_t from_bit,
    uint32_t count) {
    if (((to_bit | from_bit | count) & 7) == 0) {
        // Not memcpy: a model may lay its scratch over its input, which must give wrong scores at worst.
        memmove(to + to_bit / 8, from + from_bit / 8, count / 8);
        return;
    }
    while (count != 0) {
        uint32_t room = 8 - (to_bit & 7), left = 8 - (from_bit & 7);
        uint32_t step = room < left ? room : left;
        step = step < count ? step : count;
        uint32_t bits = (uint32_t)from[from_bit / 8] >> (from_bit & 7) & ((1U << step) - 1);
        to[to_bit / 8] = (uint8_t)(to[to_bit / 8] | bits << (to_bit & 7));
        to_bit += step;
        from_bit += step;
        count -= step;
    }
}

static inline uint32_t ebnn_block(uint32_t channels, uint32_t first) {
    return channels - first < 32 ? channels - first : 32;
}

#endif
