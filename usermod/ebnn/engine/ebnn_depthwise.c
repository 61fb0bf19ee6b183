// Depthwise convolution, 32 channels at a time.

#include "ebnn_core.h"

#ifndef EBNN_WITHOUT_DEPTHWISE
#define PLANES 8
#define MOST_TAPS 255U // that they count

// Bits with bits: what is counted of a tap is 1 in each channel where it does not agree; the counters lie in planes, so
// that a word holds one bit of all of them.
typedef struct {
    uint32_t planes[PLANES];
    uint32_t taps;
} counters_t;

// Bits 0 to 3 -> the lowest bits of the four bytes.
static inline uint32_t spread(uint32_t bits) {
    return (bits & 15) * 0x00204081UL & 0x01010101UL;
}

// Add the counters to the sums, up to the next multiple of 4; keep 0: there are no sums yet.
static void add_counters(const counters_t *counters, int32_t *sums, uint32_t count, int32_t keep) {
    uint32_t used = 0;
    for (uint32_t taps = counters->taps; taps != 0; taps >>= 1) {
        used++;
    }
    for (uint32_t i = 0; i < count; i += 4, sums += 4) {
        uint32_t bytes = 0;
        for (uint32_t plane = used; plane-- != 0;) {
            bytes = 2 * bytes + spread(counters->planes[plane] >> i);
        }
        sums[0] = (sums[0] & keep) + (int32_t)(bytes & 255);
        sums[1] = (sums[1] & keep) + (int32_t)(bytes >> 8 & 255);
        sums[2] = (sums[2] & keep) + (int32_t)(bytes >> 16 & 255);
        sums[3] = (sums[3] & keep) + (int32_t)(bytes >> 24);
    }
}

EBNN_NOINLINE static int32_t count_bits(const ebnn_run_t *run, const ebnn_origin_t *origin,
    const ebnn_channels_t *channels, int32_t *sums) {
    const ebnn_node_t *node = run->node;
    const uint8_t *weights = run->weights + 4 * node->row_words * channels->row;
    const uint32_t stride = run->in_stride, count = channels->count, width = node->kernel.width;
    const uint32_t border = node->flags & EBNN_FLAG_BORDER_PLUS ? UINT32_MAX : 0;
    const int is_none = ebnn_has(node, EBNN_FLAG_BORDER_NONE);
    uint32_t taps = 0, place = channels->first; // of a tap's weights
    int32_t keep = 0;
    counters_t counters;
    memset(&counters, 0, sizeof(counters));
    for (uint32_t ky = 0; ky < node->kernel.height; ky++) {
        const uint32_t y = (uint32_t)origin->y + ky, row = y * run->pitch + channels->first;
        for (uint32_t kx = 0; kx < width; kx++, place += stride) {
            const uint32_t x = (uint32_t)origin->x + kx;
            const int is_border = y >= run->in->height || x >= run->in->width;
            if (is_border && is_none) {
                continue;
            }
            if (counters.taps == MOST_TAPS) {
                add_counters(&counters, sums, count, keep);
                memset(&counters, 0, sizeof(counters));
                keep = -1;
            }
            counters.taps++;
            taps++;
            uint32_t bits = is_border ? border : ebnn_bits(run->input, row + x * stride, count);
            uint32_t carry = bits ^ ebnn_bits(weights, place, count);
            for (uint32_t *plane = counters.planes; carry != 0; plane++) {
                uint32_t both = *plane & carry;
                *plane ^= carry;
                carry = both;
            }
        }
    }
    add_counters(&counters, sums, count, keep);
    return (int32_t)taps;
}

// All other elements and weights. What the border reads as, 0 where it does not count.
static int32_t border_of(const ebnn_node_t *node) {
    int is_plus = node->flags & EBNN_FLAG_BORDER_PLUS;
    if (node->input == EBNN_DTYPE_BITS) {
        return ebnn_has(node, EBNN_FLAG_BORDER_NONE) ? 0 : is_plus ? 1 : -1;
    }
    return is_plus ? 255 : 0;
}

// Add what a tap makes of a block of channels; bits have weights of a byte here.
static void add_tap(const ebnn_run_t *run, const ebnn_channels_t *channels, uint32_t tap, const int32_t *x,
    int32_t *sums) {
    const ebnn_node_t *node = run->node;
    const uint8_t *weights = run->weights + 4 * node->row_words * channels->row;
    if (ebnn_has(node, EBNN_FLAG_INT8_WEIGHTS)) {
        const int8_t *w = (const int8_t *)weights + (tap * run->in->channels + channels->first);
        for (uint32_t i = 0; i < channels->count; i++) {
            sums[i] += w[i] * x[i];
        }
        return;
    }
    uint32_t bits = ebnn_bits(weights, tap * run->in->channels + channels->first, channels->count);
    for (uint32_t i = 0; i < channels->count; i++, bits >>= 1) {
        sums[i] += bits & 1 ? x[i] : -x[i];
    }
}

EBNN_NOINLINE static void sum_elements(const ebnn_run_t *run, const ebnn_origin_t *origin,
    const ebnn_channels_t *channels, int32_t *sums) {
    const ebnn_window_t *kernel = &run->node->kernel;
    const uint32_t start = channels->first * ebnn_element_bits(run->node->input);
    const int32_t border = border_of(run->node);
    int32_t x[EBNN_BLOCK];
    memset(sums, 0, channels->count * sizeof(int32_t));
    for (uint32_t ky = 0, tap = 0; ky < kernel->height; ky++) {
        const uint32_t in_y = (uint32_t)origin->y + ky;
        for (uint32_t kx = 0; kx < kernel->width; kx++, tap++) {
            const uint32_t in_x = (uint32_t)origin->x + kx;
            if (in_y < run->in->height && in_x < run->in->width) {
                uint32_t place = in_y * run->pitch + in_x * run->in_stride + start;
                ebnn_elements(run->input, run->node->input, place, channels->count, x);
            } else if (border == 0) {
                continue;
            } else {
                for (uint32_t i = 0; i < channels->count; i++) {
                    x[i] = border;
                }
            }
            add_tap(run, channels, tap, x, sums);
        }
    }
}

int32_t ebnn_sum_depthwise(const ebnn_run_t *run, const ebnn_origin_t *origin, const ebnn_channels_t *channels,
    int32_t *sums) {
    if (run->node->input == EBNN_DTYPE_BITS && !ebnn_has(run->node, EBNN_FLAG_INT8_WEIGHTS)) {
        return count_bits(run, origin, channels, sums);
    }
    sum_elements(run, origin, channels, sums);
    return 0;
}
#endif
