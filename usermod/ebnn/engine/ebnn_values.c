// Every node but those that make hits: position by position of the output and block by block of filters, the sums of
// the pool's window, then the ending. Docs/SPEC.md, section 2.

#include "ebnn_core.h"

// A block of filters at a position of the output.
typedef struct {
    ebnn_run_t *run;
    const uint8_t *patch;
    uint32_t y, x;
    uint32_t first, count;
    uint32_t channel,
        row; // of depthwise and pool: the input's channel of the first filter; of depthwise its weights' row
    uint32_t work; // since the last poll
    int stops;
} block_t;

#define TAKE(type) \
    for (const type *from = (const type *)(const void *)(map + place / 8), *last = from + count; from != last;) { \
        *to++ = *from++; \
    }

void ebnn_elements(const uint8_t *map, uint32_t dtype, uint32_t place, uint32_t count, int32_t *to) {
    if (dtype == EBNN_DTYPE_BITS) {
        for (uint32_t bits = ebnn_bits(map, place, count); count != 0; count--, bits >>= 1) {
            *to++ = (bits & 1) != 0 ? 1 : -1;
        }
    } else if (dtype == EBNN_DTYPE_U8) {
        TAKE(uint8_t)
    } else if (EBNN_HAS_INTEGERS && dtype == EBNN_DTYPE_I8) {
        TAKE(int8_t)
    } else if (EBNN_HAS_INTEGERS && dtype == EBNN_DTYPE_I16) {
        TAKE(ebnn_short_t)
    } else {
        TAKE(int32_t)
    }
}
#undef TAKE

// --- sums ------------------------------------------------------------------------------------------------------------

// Sums at a position of the map. Where the window is the position, the patch of the first block serves all of them.
EBNN_NOINLINE static int32_t sum_position(block_t *block, uint32_t y, uint32_t x, int32_t *sums) {
    ebnn_run_t *run = block->run;
    const ebnn_node_t *node = run->node;
    const ebnn_cursor_t cursor = { y, x, 0, 0 };
    const ebnn_origin_t origin = ebnn_origin(run, &cursor);
    block->work += block->count * ebnn_filter_work(node);
    if (node->op == EBNN_OP_POOL) {
        uint32_t place = y * run->pitch + x * run->in_stride + block->channel * ebnn_element_bits(node->input);
        ebnn_elements(run->input, node->input, place, block->count, sums);
        return 0;
    }
#ifndef EBNN_WITHOUT_DEPTHWISE
    if (node->op == EBNN_OP_DEPTHWISE) {
        const ebnn_channels_t channels = { block->channel, block->count, block->row };
        return ebnn_sum_depthwise(run, &origin, &channels, sums);
    }
#endif
    if (node->op == EBNN_OP_CONV && (block->first == 0 || node->pool.height * node->pool.width != 1)) {
        ebnn_gather_patch(run, &origin);
        block->work += 8 * node->taps;
    }
    return ebnn_sum_filters(run, block->patch, block->first, sums, block->count);
}

// Positions of the map under a window, first .. last - 1.
typedef struct {
    uint32_t first, last;
} span_t;

static span_t span_of(uint32_t at, uint32_t stride, uint32_t pad, uint32_t window, uint32_t map) {
    uint32_t start = at * stride, end = start + window - pad;
    const span_t span = { start < pad ? 0 : start - pad, end < map ? end : map };
    return span;
}

static void poll(block_t *block) {
    if (block->work >= EBNN_POLL_WORK) {
        block->work = 0;
        block->stops = ebnn_poll(block->run);
    }
}

// Pooled sums of a window. Not inlined, as all that keeps blocks of numbers: most nodes have no such window.
EBNN_NOINLINE static int32_t sum_window(block_t *block, int32_t *totals) {
    const ebnn_node_t *node = block->run->node;
    const ebnn_window_t *pool = &node->pool;
    const span_t rows = span_of(block->y, pool->stride_h, pool->top, pool->height, node->map_h);
    const span_t columns = span_of(block->x, pool->stride_w, pool->left, pool->width, node->map_w);
    const int adds = ebnn_has(node, EBNN_FLAG_SUM);
    int32_t sums[EBNN_BLOCK];
    for (uint32_t i = 0; i < block->count; i++) {
        totals[i] = adds ? 0 : INT32_MIN;
    }
    for (uint32_t y = rows.first; y < rows.last; y++) {
        for (uint32_t x = columns.first; x < columns.last && !block->stops; x++) {
            int32_t taps = sum_position(block, y, x, sums), scale = ebnn_scale(taps);
            for (uint32_t i = 0; i < block->count; i++) {
                int32_t sum = taps + scale * sums[i];
                // Unsigned, because bits of no tap may be set in a row of weights.
                totals[i] = adds ? (int32_t)((uint32_t)totals[i] + (uint32_t)sum) : sum > totals[i] ? sum : totals[i];
            }
            poll(block);
        }
    }
    return 0;
}

static int32_t sum_block(block_t *block, int32_t *sums) {
    const ebnn_window_t *pool = &block->run->node->pool;
    if (pool->height * pool->width != 1) {
        return sum_window(block, sums);
    }
    int32_t taps = sum_position(block, block->y * pool->stride_h, block->x * pool->stride_w, sums);
    poll(block);
    return taps;
}

// --- endings
// -----------------------------------------------------------------------------------------------------------

// Up to 32 bits, XORed into a map from any place on.
static void toggle_bits(uint8_t *map, uint32_t place, uint32_t bits) {
    uint8_t *to = map + place / 8;
    uint32_t shift = place % 8;
    for (; bits != 0; to++, shift = 0) {
        *to ^= (uint8_t)(bits << shift);
        bits >>= 8 - shift;
    }
}

// The hits of all levels lie side by side, or (exclusive) in the same place.
EBNN_NOINLINE static void end_bits(const block_t *block, int32_t taps, const int32_t *sums) {
    const ebnn_run_t *run = block->run;
    const ebnn_node_t *node = run->node;
    uint32_t place = (block->y * run->cols + block->x) * run->out_stride + block->first, number = block->first;
    const uint32_t step = ebnn_has(node, EBNN_FLAG_EXCLUSIVE) ? 0 : node->filters;
    for (uint32_t level = 0; level < node->levels; level++, number += node->filters, place += step) {
        toggle_bits(run->out, place, ebnn_hits(run, taps, sums, number, block->count));
    }
}

// Add the second input, as far as it has such channels.
EBNN_NOINLINE static void add_second(const block_t *block, int32_t *numbers) {
    const ebnn_run_t *run = block->run;
    const ebnn_value_t *second = run->second;
    if (block->first >= second->channels) {
        return;
    }
    int32_t more[EBNN_BLOCK];
    uint32_t left = second->channels - block->first, count = left < block->count ? left : block->count;
    uint32_t place = (block->y * run->cols + block->x) * second->channels + block->first;
    ebnn_elements(run->seconds, second->dtype, place * ebnn_element_bits(second->dtype), count, more);
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = (int32_t)((uint32_t)numbers[i] + (uint32_t)more[i]);
    }
}

static void put_clamped(const block_t *block, uint8_t *to, const int32_t *numbers) {
    const uint32_t dtype = block->run->node->output.dtype;
    const int32_t most = dtype == EBNN_DTYPE_U8 ? UINT8_MAX : dtype == EBNN_DTYPE_I8 ? INT8_MAX : INT16_MAX;
    const int32_t least = dtype == EBNN_DTYPE_U8 ? 0 : -most - 1;
    for (uint32_t i = 0; i < block->count; i++) {
        int32_t n = numbers[i] < least ? least : numbers[i] > most ? most : numbers[i];
        if (dtype == EBNN_DTYPE_I16) {
            ((ebnn_short_t *)(void *)to)[i] = (int16_t)n;
        } else {
            to[i] = (uint8_t)n;
        }
    }
}

EBNN_NOINLINE static void end_integers(const block_t *block, int32_t taps, int32_t *sums) {
    const ebnn_run_t *run = block->run;
    const ebnn_node_t *node = run->node;
    const uint32_t place = (block->y * run->cols + block->x) * node->filters + block->first;
    ebnn_shift(run, taps, sums, block->first, block->count);
    if (EBNN_HAS_INTEGERS && run->second != NULL) {
        add_second(block, sums);
    }
    if (EBNN_HAS_INTEGERS && node->output.dtype != EBNN_DTYPE_I32) {
        put_clamped(block, run->out + place * (ebnn_element_bits(node->output.dtype) / 8), sums);
    } else {
        memcpy(run->out + 4 * place, sums, 4 * block->count);
    }
}

// --- rows
// --------------------------------------------------------------------------------------------------------------

// All filters at a position.
static void run_position(block_t *block, uint32_t most) {
    const ebnn_run_t *run = block->run;
    const ebnn_node_t *node = run->node;
    const int has_channels = node->op == EBNN_OP_DEPTHWISE || node->op == EBNN_OP_POOL;
    const uint32_t end = has_channels ? run->in->channels : node->filters;
    block->channel = block->row = 0;
    for (block->first = 0; block->first < node->filters && !block->stops; block->first += block->count) {
        int32_t sums[EBNN_BLOCK];
        uint32_t left = end - block->channel;
        block->count = left < most ? left : most;
        int32_t taps = sum_block(block, sums);
        if (node->output.dtype == EBNN_DTYPE_BITS) {
            end_bits(block, taps, sums);
        } else {
            end_integers(block, taps, sums);
        }
        block->channel += block->count;
        if (block->channel == end) {
            block->channel = 0;
            block->row++;
        }
    }
}

int ebnn_run_values(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t until) {
    const ebnn_node_t *node = run->node;
    const int is_dense = node->op == EBNN_OP_DENSE;
    const uint32_t most = EBNN_POLL_WORK / ebnn_filter_work(node) < EBNN_BLOCK ? 1 : EBNN_BLOCK;
    block_t block;
    memset(&block, 0, sizeof(block));
    block.run = run;
    block.patch = is_dense ? run->input : run->scratch;
    if (is_dense && node->from == 0 && node->input == EBNN_DTYPE_BITS) {
        memcpy(run->scratch, run->input, ebnn_value_size(run->in)); // it may be misaligned
        block.patch = run->scratch;
    }
    for (; cursor->y < until; cursor->y++) {
        if (ebnn_poll(run)) {
            return EBNN_E_STOPPED;
        }
        if (node->output.dtype == EBNN_DTYPE_BITS) {
            ebnn_open_row(run, (int32_t)cursor->y);
        }
        block.y = cursor->y;
        for (block.x = 0; block.x < run->cols; block.x++) {
            run_position(&block, most);
            if (block.stops) {
                return EBNN_E_STOPPED;
            }
        }
    }
    return EBNN_OK;
}
