// Shared by the engine's own files only.
#ifndef EBNN_CORE_H
#define EBNN_CORE_H

#include <string.h>

#include "ebnn.h"

// Keeps frames off the deepest path.
#define EBNN_NOINLINE __attribute__((noinline))

enum {
#define EBNN_OP(code, name) EBNN_OP_##name = code,
    EBNN_OP_LIST(EBNN_OP)
#undef EBNN_OP
};

// What this build has. The compiler drops what is only for the rest.
enum {
#ifdef EBNN_WITHOUT_INTEGERS
    EBNN_HAS_INTEGERS = 0,
#else
    EBNN_HAS_INTEGERS = 1,
#endif
    EBNN_FLAGS = 0xff
#ifdef EBNN_WITHOUT_BORDER_NONE
        & ~EBNN_FLAG_BORDER_NONE
#endif
#ifdef EBNN_WITHOUT_INT8_WEIGHTS
        & ~EBNN_FLAG_INT8_WEIGHTS
#endif
#ifdef EBNN_WITHOUT_INTEGERS
        & ~EBNN_FLAG_GAINS
#endif
};

static inline int ebnn_has(const ebnn_node_t *node, int flag) {
    return (node->flags & flag & EBNN_FLAGS) != 0;
}

// Bits that a pixel takes: channels rounded up to 1, 2, 4, 8, 16 or a multiple of 32.
static inline uint32_t ebnn_pixel_stride(uint32_t channels) {
    uint32_t stride = 1;
    while (stride < channels && stride < 32) {
        stride *= 2;
    }
    return stride < 32 ? stride : (channels + 31) / 32 * 32;
}

static inline uint32_t ebnn_element_bits(uint32_t dtype) {
    return dtype == EBNN_DTYPE_BITS ? 1 : dtype <= EBNN_DTYPE_I8 ? 8 : dtype == EBNN_DTYPE_I16 ? 16 : 32;
}

// Bits of a pixel of a value, whatever its dtype.
static inline uint32_t ebnn_pixel_bits(const ebnn_value_t *value) {
    uint32_t channels = value->channels;
    return value->dtype == EBNN_DTYPE_BITS ? ebnn_pixel_stride(channels) : ebnn_element_bits(value->dtype) * channels;
}

// Value 0 is the input, value k the output of node k - 1.
static inline const ebnn_value_t *ebnn_value(const ebnn_t *net, const ebnn_node_t *nodes, uint32_t id) {
    return id == 0 ? &net->input : &nodes[id - 1].output;
}

// A word of bits as the memory has it, or back: bit 0 comes first on either byte order. The same for halves.
static inline uint32_t ebnn_swap(uint32_t word) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap32(word);
#else
    return word;
#endif
}

static inline uint16_t ebnn_swap_half(uint16_t half) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap16(half);
#else
    return half;
#endif
}

// A half of a word that is read or written whole, too: without the attribute a compiler may swap the two.
typedef uint16_t __attribute__((may_alias)) ebnn_half_t;

// An element of an i16 value; only the input of the network may be misaligned.
typedef int16_t __attribute__((may_alias, aligned(1))) ebnn_short_t;

// Threshold or offset of a filter; `numbers` is aligned to 4.
static inline int32_t ebnn_number(const ebnn_node_t *node, const uint8_t *numbers, uint32_t filter) {
    if (node->flags & EBNN_FLAG_WIDE) {
        return (int32_t)ebnn_swap(((const uint32_t *)(const void *)numbers)[filter]);
    }
    return (int16_t)ebnn_swap_half(((const uint16_t *)(const void *)numbers)[filter]);
}

// Bytes that a value takes in memory.
uint32_t ebnn_value_size(const ebnn_value_t *value);

// Whether what is said of the preparation of a picture has a meaning, and one for such an input.
int ebnn_preparation_fits(const ebnn_value_t *in, uint8_t prepare, uint8_t threshold);

// Everything that the kernels of one node share.
typedef struct {
    const ebnn_node_t *node;
    const ebnn_value_t *in;
    const uint8_t *input; // of row 0, which may lie before what there is of it
    uint8_t *out, *scratch;
    uint32_t scratch_size; // behind the row
    uint8_t *row; // hits of the map's row before the pool; the output where there is no pool
    int pools;
    uint8_t *clean; // the output's words are 0 or in use from its start to here
    const uint8_t *weights, *numbers;
    uint32_t pitch; // bits of a row of the input
    uint32_t in_stride, out_stride; // bits of a pixel
    uint32_t rows, cols; // of the map before the pool, as far as windows reach; off the path of hits: of the output
    uint32_t taps; // that count at the position of the patch
    uint32_t own[2]; // what the kernel keeps between the sums and the hits of a tile
    const ebnn_value_t *second; // what is added to integers, or NULL; and its first element
    const uint8_t *seconds;
    const ebnn_job_t *job;
} ebnn_run_t;

// A position of the map before the pool, and the rows of the output whose windows hold it.
typedef struct {
    uint32_t y, x;
    int32_t first, last;
} ebnn_cursor_t;

// Kernels of convolutions that make hits, in the order of preference; the plain one serves each with the scratch of
// docs/SPEC.md, section 5. Pools of bits by OR, and all other nodes. They are no table of pointers, because a native
// module cannot hold constant pointers.
enum { EBNN_KERNEL_LANES, EBNN_KERNEL_BYTES, EBNN_KERNEL_PLAIN, EBNN_KERNEL_POOL, EBNN_KERNEL_VALUES };

// Whether the node is a pool of bits by OR, which has no thresholds; docs/SPEC.md, section 2.3.
static inline int ebnn_is_or(const ebnn_node_t *node) {
    return node->op == EBNN_OP_POOL && node->input == EBNN_DTYPE_BITS && node->output.dtype == EBNN_DTYPE_BITS
        && !ebnn_has(node, EBNN_FLAG_SUM);
}

// Whether each of its sums becomes a hit as it is made: a convolution with one threshold a filter, and no sums of a
// pool.
static inline int ebnn_makes_hits(const ebnn_node_t *node) {
    return node->op == EBNN_OP_CONV && node->output.dtype == EBNN_DTYPE_BITS && node->levels == 1
        && !ebnn_has(node, EBNN_FLAG_SUM);
}

// The first kernel whose scratch fits into that of the node, or EBNN_E_ARENA.
int ebnn_choose_kernel(const ebnn_node_t *node, const ebnn_value_t *in);

// Rows of the input under one row of the map (of the output, off the path of hits), and from there to the next one;
// `above` lie above the input.
typedef struct {
    uint32_t count, step, above;
} ebnn_rows_t;

ebnn_rows_t ebnn_rows_under(const ebnn_node_t *node);

// Bytes at the start of the scratch for the row of the map before the pool, 0 where there is none.
uint32_t ebnn_row_bytes(const ebnn_node_t *node);

// Positions of the map in a direction that some window of the pool reaches.
static inline uint32_t ebnn_reach(uint32_t map, uint32_t out, uint32_t window, uint32_t stride, uint32_t pad) {
    uint32_t reach = (out - 1) * stride + window - pad;
    return reach < map ? reach : map;
}

// A piece of the weights of every filter, for which a kernel adds to the sums what its table says.
typedef struct {
    const void *weights; // of the first filter
    const uint32_t *table;
    uint32_t *sums, *last;
    uint32_t next; // bytes from a filter's piece to that of the next one, or from the end of it
    const uint32_t *end; // of the table
} ebnn_chunk_t;

// What the two words of a table's entries add up from: pattern 0, and what each bit of a pattern changes.
typedef struct {
    uint32_t none, bit[4];
} ebnn_steps_t;

// 16 entries of two words, one for each pattern; in the order of a Gray code one bit changes at a time.
#if !defined(EBNN_WITH_LANES) && !defined(EBNN_WITH_BYTES)
// Nobody needs them.
#elif defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_entries_thumb2.h"
#else
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
#endif

// A kernel: make the sums of all filters at `count` positions from the cursor on, then give the hits of filters
// `filter` and up, at most 32, as one word a position. And what scratch it needs, in bytes without the row of the map;
// UINT32_MAX where it is not made for the node.
#ifdef EBNN_WITH_BYTES
uint32_t ebnn_bytes_scratch(const ebnn_node_t *node);
void ebnn_bytes_sum(ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t count);
const uint32_t *ebnn_bytes_hits(const ebnn_run_t *run, uint32_t filter);
#endif
#ifdef EBNN_WITH_LANES
uint32_t ebnn_lanes_scratch(const ebnn_node_t *node);
// Not 0 where a poll has stopped it.
int ebnn_lanes_sum(const ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t count);
const uint32_t *ebnn_lanes_hits(const ebnn_run_t *run, uint32_t filter);
#endif

// Where the kernel's first tap lies on the input, for one position of the map after the other.
typedef struct {
    int32_t y, x;
    uint32_t left; // positions in the row
} ebnn_origin_t;

static inline ebnn_origin_t ebnn_origin(const ebnn_run_t *run, const ebnn_cursor_t *cursor) {
    const ebnn_window_t *kernel = &run->node->kernel;
    int32_t y = (int32_t)(cursor->y * kernel->stride_h) - kernel->top;
    int32_t x = (int32_t)(cursor->x * kernel->stride_w) - kernel->left;
    const ebnn_origin_t origin = { y, x, run->cols - cursor->x };
    return origin;
}

#if defined(EBNN_WITH_LANES) || defined(EBNN_WITH_BYTES)
static inline void ebnn_origin_next(const ebnn_run_t *run, ebnn_origin_t *origin) {
    origin->x += run->node->kernel.stride_w;
    if (--origin->left == 0) {
        origin->left = run->cols;
        origin->x = -(int32_t)run->node->kernel.left;
        origin->y += run->node->kernel.stride_h;
    }
}
#endif

// All taps of the kernel -> a patch that lies as a filter of bits does, aligned to 4.
void ebnn_gather(const ebnn_run_t *run, const ebnn_origin_t *origin, uint8_t *patch);

// The same at the start of the scratch. Where the border does not count: how many taps do, too, and behind the patch
// their mask, unless all do.
void ebnn_gather_patch(ebnn_run_t *run, const ebnn_origin_t *origin);

// Raw sums of a block of filters over a patch. The result is `taps`, and a sum is taps + ebnn_scale(taps) * raw: what
// is counted of bits are the taps that do not agree; of all else `taps` is 0.
int32_t ebnn_sum_filters(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, int32_t *sums, uint32_t count);

static inline int32_t ebnn_scale(int32_t taps) {
    return taps == 0 ? 1 : -2; // where no taps count, none differ
}

#define EBNN_BLOCK 32U // filters whose sums are made at once

#ifndef EBNN_WITHOUT_DEPTHWISE
// Channels of the input, at most EBNN_BLOCK from `first` on, and the row of a depthwise convolution's weights that is theirs.
typedef struct {
    uint32_t first, count, row;
} ebnn_channels_t;

// Their raw sums, as ebnn_sum_filters; there is room for EBNN_BLOCK of them.
int32_t ebnn_sum_depthwise(const ebnn_run_t *run, const ebnn_origin_t *origin, const ebnn_channels_t *channels,
    int32_t *sums);
#endif

// Hits of `count` filters, at most 32, from `filter` on, as bits.
uint32_t ebnn_hit_bits(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, uint32_t count);

// What a filter costs a position, as EBNN_POLL_WORK counts.
uint32_t ebnn_filter_work(const ebnn_node_t *node);

// Hits of a block of filters, as bits; their thresholds begin at `number`.
uint32_t ebnn_hits(const ebnn_run_t *run, int32_t taps, const int32_t *sums, uint32_t number, uint32_t count);

// Integers in place of the raw sums of a block of filters, by gains, offsets and the shift.
void ebnn_shift(const ebnn_run_t *run, int32_t taps, int32_t *sums, uint32_t filter, uint32_t count);

// The output becomes all zeros up to the end of a row.
void ebnn_open_row(ebnn_run_t *run, int32_t row);

// The path of nodes that make hits: begin a map, and rows of it up to one. Not 0 where a poll has stopped it.
void ebnn_start_hits(ebnn_run_t *run, ebnn_cursor_t *cursor);
int ebnn_run_hits(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t until);

// The path of all nodes but those that make hits: rows of the output up to one. Not 0 where a poll has stopped it.
int ebnn_run_values(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t until);

// Elements of a value from a bit on, as numbers; `count` is 1 to 32.
void ebnn_elements(const uint8_t *map, uint32_t dtype, uint32_t place, uint32_t count, int32_t *to);

#if defined(EBNN_WITH_LANES) || defined(EBNN_WITH_BYTES)
// The threshold of a filter whose sums lie within 16 bits and do not reach the largest number of those.
static inline int32_t ebnn_threshold(const ebnn_run_t *run, uint32_t filter) {
    int32_t threshold = ebnn_number(run->node, run->numbers, filter);
    if (run->node->flags & EBNN_FLAG_WIDE) {
        threshold = threshold > INT16_MAX ? INT16_MAX : threshold < INT16_MIN ? INT16_MIN : threshold;
    }
    return threshold;
}
#endif

// A word of a map or of a model; only the input of the network may be misaligned.
static inline uint32_t ebnn_load(const uint8_t *p) {
    if ((uintptr_t)p % 4 == 0) {
        return ebnn_swap(*(const uint32_t *)(const void *)p);
    }
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

// Up to 32 bits from any place of a map on.
static inline uint32_t ebnn_bits(const uint8_t *map, uint32_t place, uint32_t count) {
    const uint8_t *p = map + place / 32 * 4;
    uint32_t shift = place % 32, bits = ebnn_load(p) >> shift;
    if (shift + count > 32) {
        bits |= ebnn_load(p + 4) << (32 - shift);
    }
    return bits & UINT32_MAX >> (32 - count);
}

// The bits of a pixel, or a word of them: `stride` is the pixel's.
static inline uint32_t ebnn_get(const uint8_t *map, uint32_t place, uint32_t stride) {
    const uint8_t *p = map + place / 8;
    if (stride >= 32) {
        return ebnn_load(p);
    }
    if (stride == 16) {
        return (uint32_t)p[0] | (uint32_t)p[1] << 8;
    }
    return *p >> place % 8 & ((1U << stride) - 1);
}

// OR them into a map, or XOR. Maps that are written are aligned.
static inline void ebnn_put(uint8_t *map, uint32_t place, uint32_t stride, uint32_t bits, int toggle) {
    uint8_t *p = map + place / 8;
    if (stride >= 32) {
        uint32_t *word = (uint32_t *)(void *)p;
        bits = ebnn_swap(bits);
        *word = toggle ? *word ^ bits : *word | bits;
    } else if (stride == 16) {
        ebnn_half_t *half = (ebnn_half_t *)(void *)p;
        bits = ebnn_swap_half((uint16_t)bits);
        *half = (uint16_t)(toggle ? *half ^ bits : *half | bits);
    } else {
        bits <<= place % 8;
        *p = (uint8_t)(toggle ? *p ^ bits : *p | bits);
    }
}

static inline int ebnn_poll(const ebnn_run_t *run) {
    return run->job->poll != NULL && run->job->poll(run->job->ctx) != 0;
}

static inline uint32_t ebnn_block(uint32_t channels, uint32_t first) {
    return channels - first < 32 ? channels - first : 32;
}

#endif
