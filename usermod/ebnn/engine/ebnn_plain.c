// The plain kernels, which serve every convolution and dense layer: gather the taps of a position, then sum filter by
// filter. And the choice of the kernel.

#include "ebnn_core.h"

// Bits of a patch, taken up in order and stored word by word.
typedef struct {
    uint32_t *to;
    uint32_t bits, count;
} packer_t;

static inline void pack(packer_t *packer, uint32_t bits, uint32_t count) {
    uint32_t at = packer->count;
    packer->bits |= bits << at;
    packer->count = at + count;
    if (packer->count >= 32) {
        *packer->to++ = ebnn_swap(packer->bits);
        packer->count -= 32;
        packer->bits = at == 0 ? 0 : bits >> (32 - at);
    }
}

// `taps` pixels whose channels, or the first of them, are ones.
static void pack_pixels(const ebnn_run_t *run, packer_t *packer, uint32_t taps, uint32_t channels) {
    for (; taps != 0; taps--) {
        for (uint32_t left = run->in_stride, ones = channels; left != 0;) {
            uint32_t count = left < 32 ? left : 32, some = ones < 32 ? ones : 32;
            pack(packer, some == 0 ? 0 : UINT32_MAX >> (32 - some), count);
            left -= count;
            ones -= some;
        }
    }
}

// The part of the kernel's rows that lies inside of the input: taps first .. last - 1.
typedef struct {
    uint32_t first, last;
} taps_t;

static taps_t inside(const ebnn_run_t *run, int32_t x) {
    int32_t width = run->in->width, kernel = run->node->kernel.width;
    if (x >= width || x + kernel <= 0) {
        x = width = 0;
    }
    const taps_t taps = { x < 0 ? (uint32_t)-x : 0, (uint32_t)(width - x < kernel ? width - x : kernel) };
    return taps;
}

// `count` bits of each of some rows of the input.
static packer_t pack_rows(const ebnn_run_t *run, packer_t packer, uint32_t start, uint32_t count, uint32_t rows) {
    const uint8_t *input = run->input;
    for (const uint32_t pitch = run->pitch; rows != 0; rows--, start += pitch) {
        uint32_t left = count, place = start;
        for (; left >= 32 && (packer.count | place % 32) == 0; left -= 32, place += 32) {
            *packer.to++ = ebnn_swap(ebnn_load(input + place / 8));
        }
        for (; left > 32; left -= 32, place += 32) {
            pack(&packer, ebnn_bits(input, place, 32), 32);
        }
        if (left != 0) {
            pack(&packer, ebnn_bits(input, place, left), left);
        }
    }
    return packer;
}

EBNN_NOINLINE static void pack_border(const ebnn_run_t *run, packer_t *packer, uint32_t taps) {
    pack_pixels(run, packer, taps, run->node->flags & EBNN_FLAG_BORDER_PLUS ? run->in->channels : 0);
}

static void flush(const packer_t *packer) {
    if (packer->count != 0) {
        *packer->to = ebnn_swap(packer->bits);
    }
}

static void gather_bits(const ebnn_run_t *run, const ebnn_origin_t *origin, uint8_t *patch) {
    packer_t packer = { (uint32_t *)(void *)patch, 0, 0 };
    const uint32_t stride = run->in_stride, rows = run->node->kernel.height, kernel = run->node->kernel.width;
    const taps_t taps = inside(run, origin->x);
    const uint32_t count = (taps.last - taps.first) * stride;
    uint32_t start = (uint32_t)origin->y * run->pitch + (uint32_t)(origin->x + (int32_t)taps.first) * stride;
    if (count == kernel * stride && origin->y >= 0 && (uint32_t)origin->y + rows <= run->in->height) {
        packer = pack_rows(run, packer, start, count, rows);
    } else {
        for (uint32_t ky = 0; ky < rows; ky++, start += run->pitch) {
            int is_border = (uint32_t)origin->y + ky >= run->in->height;
            pack_border(run, &packer, is_border ? kernel : taps.first);
            if (!is_border) {
                packer = pack_rows(run, packer, start, count, 1);
                pack_border(run, &packer, kernel - taps.last);
            }
        }
    }
    flush(&packer);
}

// Bytes of a patch, which is all of the input where the node is dense.
static uint32_t patch_bytes(const ebnn_node_t *node, const ebnn_value_t *in) {
    uint32_t pixels = node->op == EBNN_OP_DENSE ? (uint32_t)in->height * in->width
                                                : (uint32_t)node->kernel.height * node->kernel.width;
    return (pixels * ebnn_pixel_bits(in) + 31) / 32 * 4;
}

static void gather_mask(ebnn_run_t *run, const ebnn_origin_t *origin) {
    packer_t packer = { (uint32_t *)(void *)(run->scratch + patch_bytes(run->node, run->in)), 0, 0 };
    const uint32_t rows = run->node->kernel.height, kernel = run->node->kernel.width, channels = run->in->channels;
    const taps_t taps = inside(run, origin->x);
    run->taps = run->node->taps;
    if (taps.last - taps.first == kernel && origin->y >= 0 && (uint32_t)origin->y + rows <= run->in->height) {
        return;
    }
    run->taps = 0;
    for (uint32_t ky = 0; ky < rows; ky++) {
        uint32_t first = (uint32_t)origin->y + ky < run->in->height ? taps.first : taps.last;
        pack_pixels(run, &packer, first, 0);
        pack_pixels(run, &packer, taps.last - first, channels);
        pack_pixels(run, &packer, kernel - taps.last, 0);
        run->taps += (taps.last - first) * channels;
    }
    flush(&packer);
}

// Elements of whole bytes; 0 is the border of those whose border does not count.
static void gather_bytes(const ebnn_run_t *run, const ebnn_origin_t *origin, uint8_t *patch) {
    const uint32_t channels = run->in_stride / 8, row = run->node->kernel.width * channels;
    const uint8_t border = run->node->flags & EBNN_FLAG_BORDER_PLUS ? 255 : 0;
    const taps_t taps = inside(run, origin->x);
    for (int32_t y = origin->y, end = y + run->node->kernel.height; y != end; y++, patch += row) {
        uint32_t first = taps.first * channels, last = (uint32_t)y < run->in->height ? taps.last * channels : 0;
        uint32_t place = (uint32_t)y * (run->pitch / 8) + (uint32_t)origin->x * channels;
        for (uint32_t i = 0; i < row; i++) {
            patch[i] = i >= first && i < last ? run->input[place + i] : border;
        }
    }
}

void ebnn_gather(const ebnn_run_t *run, const ebnn_origin_t *origin, uint8_t *patch) {
    if (run->node->input == EBNN_DTYPE_BITS) {
        gather_bits(run, origin, patch);
    } else {
        gather_bytes(run, origin, patch);
    }
}

void ebnn_gather_patch(ebnn_run_t *run, const ebnn_origin_t *origin) {
    ebnn_gather(run, origin, run->scratch);
    if (ebnn_has(run->node, EBNN_FLAG_BORDER_NONE)) {
        gather_mask(run, origin);
    }
}

// Whether there are taps at the position that do not count.
static int is_masked(const ebnn_run_t *run) {
    return ebnn_has(run->node, EBNN_FLAG_BORDER_NONE) && run->taps != run->node->taps;
}

static const uint32_t *filter_words(const ebnn_run_t *run, uint32_t filter) {
    return (const uint32_t *)(const void *)run->weights + run->node->row_words * filter;
}

#ifdef EBNN_HAS_POPCOUNT
#define COUNT(k, i) (m##k += (uint32_t)__builtin_popcount(x[i] ^ w##k[i]))

// Mismatches of a patch with filters of bits. Four filters at a time share the loads of the patch.
static void count_mismatches(const ebnn_run_t *run, const uint32_t *patch, const uint32_t *w, uint32_t *sums,
    uint32_t count) {
    const uint32_t row = run->node->row_words, *end = patch + row;
    for (; count >= 4; count -= 4, sums += 4, w += 4 * row) {
        const uint32_t *x = patch, *w0 = w, *w1 = w0 + row, *w2 = w1 + row, *w3 = w2 + row;
        uint32_t m0 = 0, m1 = 0, m2 = 0, m3 = 0;
        for (; end - x >= 3; x += 3, w0 += 3, w1 += 3, w2 += 3, w3 += 3) {
            COUNT(0, 0), COUNT(1, 0), COUNT(2, 0), COUNT(3, 0), COUNT(0, 1), COUNT(1, 1), COUNT(2, 1), COUNT(3, 1);
            COUNT(0, 2), COUNT(1, 2), COUNT(2, 2), COUNT(3, 2);
        }
        for (; x != end; x++, w0++, w1++, w2++, w3++) {
            COUNT(0, 0), COUNT(1, 0), COUNT(2, 0), COUNT(3, 0);
        }
        sums[0] = m0, sums[1] = m1, sums[2] = m2, sums[3] = m3;
    }
    for (; count != 0; count--, sums++) {
        const uint32_t *w0 = w;
        uint32_t m0 = 0;
        for (const uint32_t *x = patch; x != end; x++, w0++) {
            COUNT(0, 0);
        }
        *sums = m0;
        w = w0;
    }
}
#undef COUNT
#else
#define MOST_WORDS 30 // whose counts bytes hold
#define FIVES 0x55555555UL
#define THREES 0x33333333UL
#define LOW_NIBBLES 0x0f0f0f0fUL

// The ones of a word counted in each pair of bits, then those of pairs in each nibble, and so on.
static inline uint32_t count_pairs(uint32_t x) {
    return x - (x >> 1 & FIVES);
}

static inline uint32_t count_nibbles(uint32_t pairs) {
    return (pairs & THREES) + (pairs >> 2 & THREES);
}

static inline uint32_t count_bytes(uint32_t nibbles) {
    return (nibbles & LOW_NIBBLES) + (nibbles >> 4 & LOW_NIBBLES);
}

static inline uint32_t sum_bytes(uint32_t bytes) {
    bytes = (bytes & 0x00ff00ffUL) + (bytes >> 8 & 0x00ff00ffUL);
    return (bytes & 0xffff) + (bytes >> 16);
}

// Words of a patch, and the same words of a filter and those behind it; mismatches are added to a sum for each filter.
typedef struct {
    const uint32_t *x, *w;
    uint32_t next; // bytes from the end of a filter's words to the next filter's
    uint32_t *sums, *last;
    const uint32_t *end; // of x
    uint32_t keep; // 0: the sums are not there yet
} count_t;

// Three words at a time become one of ones and one of twos.
#if defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_plain_thumb2.h"
#else
static void count_threes(const count_t *job) {
    const uint32_t *w = job->w, *end = job->end;
    for (uint32_t *sum = job->sums; sum != job->last; sum++, w += job->next / 4) {
        uint32_t bytes = 0;
        for (const uint32_t *x = job->x; x != end; x += 3, w += 3) {
            uint32_t a = x[0] ^ w[0], b = x[1] ^ w[1], c = x[2] ^ w[2], either = a ^ b, ones = either ^ c;
            uint32_t twos = (a & b) | (either & c);
            bytes += count_bytes(count_nibbles(count_pairs(ones)) + 2 * count_nibbles(count_pairs(twos)));
        }
        *sum = (*sum & job->keep) + sum_bytes(bytes);
    }
}
#endif

// One word or two.
static void count_rest(const count_t *job) {
    const uint32_t *w = job->w, *end = job->end;
    for (uint32_t *sum = job->sums; sum != job->last; sum++, w += job->next / 4) {
        uint32_t nibbles = 0;
        for (const uint32_t *x = job->x; x != end; x++, w++) {
            nibbles += count_nibbles(count_pairs(*x ^ *w));
        }
        *sum = (*sum & job->keep) + sum_bytes(count_bytes(nibbles));
    }
}

// Up to MOST_WORDS words, or those that fill up threes; how many.
static uint32_t count_some(count_t *job) {
    uint32_t words = (uint32_t)(job->end - job->x), whole = (words * 43 >> 7) * 3; // a division, which small cores lack
    if (whole == 0) {
        count_rest(job);
        return words;
    }
    job->next += 4 * (words - whole);
    job->end -= words - whole;
    count_threes(job);
    return whole;
}

// Mismatches of a patch with filters of bits.
static void count_mismatches(const ebnn_run_t *run, const uint32_t *x, const uint32_t *w, uint32_t *sums,
    uint32_t count) {
    const uint32_t words = run->node->row_words;
    for (uint32_t done = 0; done < words;) {
        uint32_t some = words - done < MOST_WORDS ? words - done : MOST_WORDS;
        uint32_t keep = done == 0 ? 0 : UINT32_MAX;
        count_t job = { x + done, w + done, 4 * (words - some), sums, sums + count, x + done + some, keep };
        done += count_some(&job);
    }
}
#endif

static inline uint32_t count_ones(uint32_t x) {
#ifdef EBNN_HAS_POPCOUNT
    return (uint32_t)__builtin_popcount(x);
#else
    return sum_bytes(count_bytes(count_nibbles(count_pairs(x))));
#endif
}

// The same, of the taps that the mask behind the patch counts.
static void count_masked(const ebnn_run_t *run, const uint32_t *x, const uint32_t *w, uint32_t *sums, uint32_t count) {
    const uint32_t words = run->node->row_words, *mask = x + words;
    for (; count != 0; count--, sums++, w += words) {
        *sums = 0;
        for (uint32_t i = 0; i < words; i++) {
            *sums += count_ones((x[i] ^ w[i]) & mask[i]);
        }
    }
}

// --- sums of whole elements, and weights of 8 bits
// --------------------------------------------------------------------

// Sums of w * x over elements of a type, whose weights are bits.
#define DEFINE_SUMS(name, type) \
    static void name(const ebnn_node_t *node, const uint8_t *patch, const uint8_t *row, int32_t *sums, \
        const int32_t *last) { \
        for (; sums != last; sums++, row += 4 * node->row_words) { \
            const type *x = (const type *)(const void *)patch; \
            const uint8_t *w = row; \
            uint32_t plus = 0, all = 0, left = node->taps, bits, value; \
            for (; left >= 8; left -= 8, x += 8) { \
                bits = *w++; \
                ADD(0), ADD(1), ADD(2), ADD(3), ADD(4), ADD(5), ADD(6), ADD(7); \
            } \
            for (bits = left != 0 ? *w : 0; left != 0; left--, x++, bits >>= 1) { \
                ADD(0); \
            } \
            *sums = (int32_t)(2 * plus - all); \
        } \
    }
#define ADD(i) (value = (uint32_t)x[i], all += value, plus += value & (uint32_t)((int32_t)(bits << (31 - (i))) >> 31))

DEFINE_SUMS(sum_u8, uint8_t)
DEFINE_SUMS(sum_i8, int8_t)
DEFINE_SUMS(sum_i16, ebnn_short_t)
#undef DEFINE_SUMS
#undef ADD

#define DOT(type) \
    for (const type *x = (const type *)(const void *)patch, *end = x + run->node->taps; x != end; x++, w++) { \
        sum += *w * *x; \
    }

// Of bits, pixel by pixel.
static int32_t weigh_bits(const ebnn_run_t *run, const uint8_t *patch, const int8_t *w) {
    const uint32_t stride = run->in_stride, channels = run->in->channels, bytes = patch_bytes(run->node, run->in);
    const int8_t *end = w + run->node->taps;
    int32_t sum = 0;
    for (uint32_t place = 0; w != end; place += stride) {
        for (uint32_t c = 0; c < channels; c += 32) {
            uint32_t bits = ebnn_get(patch, place + c, stride), mask = UINT32_MAX;
            if (is_masked(run)) {
                mask = ebnn_get(patch + bytes, place + c, stride);
            }
            for (uint32_t count = ebnn_block(channels, c); count != 0; count--, bits >>= 1, mask >>= 1, w++) {
                int32_t weight = mask & 1 ? *w : 0;
                sum += bits & 1 ? weight : -weight;
            }
        }
    }
    return sum;
}

// Sum of w * x with weights of 8 bits.
static int32_t weigh(const ebnn_run_t *run, const uint8_t *patch, const int8_t *w) {
    const uint32_t dtype = run->node->input;
    int32_t sum = 0;
    if (dtype == EBNN_DTYPE_BITS) {
        sum = weigh_bits(run, patch, w);
    } else if (dtype == EBNN_DTYPE_U8) {
        DOT(uint8_t)
    } else if (EBNN_HAS_INTEGERS && dtype == EBNN_DTYPE_I8) {
        DOT(int8_t)
    } else if (EBNN_HAS_INTEGERS) {
        DOT(ebnn_short_t)
    }
    return sum;
}
#undef DOT

// Not inlined: its frame would lie below those of the most used kernels.
EBNN_NOINLINE static int32_t sum_others(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, int32_t *sums,
    uint32_t count) {
    const ebnn_node_t *node = run->node;
    const uint32_t *words = filter_words(run, filter);
    const uint8_t *weights = (const uint8_t *)words;
    if (ebnn_has(node, EBNN_FLAG_INT8_WEIGHTS)) {
        for (uint32_t i = 0; i < count; i++, weights += 4 * node->row_words) {
            sums[i] = weigh(run, patch, (const int8_t *)weights);
        }
    } else if (is_masked(run)) {
        count_masked(run, (const uint32_t *)(const void *)patch, words, (uint32_t *)sums, count);
        return (int32_t)run->taps;
    } else if (EBNN_HAS_INTEGERS && node->input == EBNN_DTYPE_I8) {
        sum_i8(node, patch, weights, sums, sums + count);
    } else if (EBNN_HAS_INTEGERS) {
        sum_i16(node, patch, weights, sums, sums + count);
    }
    return 0;
}

int32_t ebnn_sum_filters(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, int32_t *sums, uint32_t count) {
    const ebnn_node_t *node = run->node;
    const uint32_t *weights = filter_words(run, filter);
    if (node->input > EBNN_DTYPE_U8 || ebnn_has(node, EBNN_FLAG_INT8_WEIGHTS) || is_masked(run)) {
        return sum_others(run, patch, filter, sums, count);
    }
    if (node->input == EBNN_DTYPE_U8) {
        sum_u8(node, patch, (const uint8_t *)weights, sums, sums + count);
        return 0;
    }
    count_mismatches(run, (const uint32_t *)(const void *)patch, weights, (uint32_t *)sums, count);
    return (int32_t)node->taps;
}

uint32_t ebnn_hits(const ebnn_run_t *run, int32_t taps, const int32_t *sums, uint32_t number, uint32_t count) {
    const int32_t scale = ebnn_scale(taps);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < count; i++) {
        int32_t threshold = ebnn_number(run->node, run->numbers, number + i);
        hits |= (uint32_t)(taps + scale * sums[i] >= threshold) << i;
    }
    return hits;
}

// Unsigned up to the shift, because gains and offsets may have changed since they were checked.
void ebnn_shift(const ebnn_run_t *run, int32_t taps, int32_t *sums, uint32_t filter, uint32_t count) {
    const ebnn_node_t *node = run->node;
    const uint16_t *gains = (const uint16_t *)(const void *)((const uint8_t *)run->job->model + node->gains);
    const int32_t scale = ebnn_scale(taps);
    for (const int32_t *end = sums + count; sums != end; sums++, filter++) {
        uint32_t t = (uint32_t)(taps + scale * *sums);
        if (ebnn_has(node, EBNN_FLAG_GAINS)) {
            int32_t gain = (int16_t)ebnn_swap_half(gains[filter]);
            t *= (uint32_t)gain;
        }
        int32_t n = (int32_t)(t + (uint32_t)ebnn_number(node, run->numbers, filter));
        *sums = n < 0 ? ~(~n >> node->shift) : n >> node->shift;
    }
}

uint32_t ebnn_hit_bits(const ebnn_run_t *run, const uint8_t *patch, uint32_t filter, uint32_t count) {
    int32_t sums[32];
    int32_t taps = ebnn_sum_filters(run, patch, filter, sums, count);
    return ebnn_hits(run, taps, sums, filter, count);
}

uint32_t ebnn_filter_work(const ebnn_node_t *node) {
    if (node->op == EBNN_OP_CONV || node->op == EBNN_OP_DENSE) {
        if (ebnn_has(node, EBNN_FLAG_INT8_WEIGHTS)) {
            return 40 + 12 * node->taps;
        }
        return 40 + (node->input == EBNN_DTYPE_BITS ? 20 * node->row_words : 4 * node->taps);
    }
    return 40 + 20 * node->taps;
}

// --- the choice ------------------------------------------------------------------------------------------------------

static uint32_t plain_scratch(const ebnn_node_t *node, const ebnn_value_t *in) {
    int is_bits = node->input == EBNN_DTYPE_BITS;
    if (node->op != EBNN_OP_CONV && (node->op != EBNN_OP_DENSE || node->from != 0 || !is_bits)) {
        return 0;
    }
    return patch_bytes(node, in) * (ebnn_has(node, EBNN_FLAG_BORDER_NONE) ? 2 : 1);
}

int ebnn_choose_kernel(const ebnn_node_t *node, const ebnn_value_t *in) {
    uint32_t row = ebnn_row_bytes(node), scratch = node->scratch_size - row;
    if (ebnn_is_or(node)) {
        return EBNN_KERNEL_POOL;
    }
    if (node->scratch_size < row || scratch < plain_scratch(node, in)) {
        return EBNN_E_ARENA;
    }
    if (!ebnn_makes_hits(node)) {
        return EBNN_KERNEL_VALUES;
    }
    if (ebnn_has(node, EBNN_FLAG_INT8_WEIGHTS | EBNN_FLAG_BORDER_NONE)) {
        return EBNN_KERNEL_PLAIN;
    }
#ifdef EBNN_WITH_LANES
    if (ebnn_lanes_scratch(node) <= scratch) {
        return EBNN_KERNEL_LANES;
    }
#endif
#ifdef EBNN_WITH_BYTES
    if (ebnn_bytes_scratch(node) <= scratch) {
        return EBNN_KERNEL_BYTES;
    }
#endif
    return EBNN_KERNEL_PLAIN;
}
