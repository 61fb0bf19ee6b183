// The path of nodes that make hits: each position of the map once, its hits pooled row by row. Docs/SPEC.md, section 2.

#include "ebnn_core.h"

// The output becomes all zeros up to the end of a row before anything is put there. So it may lie over rows of the input
// that no later position reads.
void ebnn_open_row(ebnn_run_t *run, int32_t row) {
    uint32_t bits = (uint32_t)(row + 1) * run->node->output.width * run->out_stride;
    for (uint8_t *end = run->out + (bits + 31) / 32 * 4; run->clean < end; run->clean += 4) {
        *(uint32_t *)(void *)run->clean = 0;
    }
}

// Find the rows of the output whose windows hold the cursor's row.
static void enter_row(ebnn_run_t *run, ebnn_cursor_t *cursor) {
    const ebnn_window_t *pool = &run->node->pool;
    int32_t y = (int32_t)cursor->y + pool->top, stride = pool->stride_h;
    while (cursor->last + 1 < run->node->output.height && (cursor->last + 1) * stride <= y) {
        cursor->last++;
    }
    while (cursor->first * stride + pool->height <= y) {
        cursor->first++;
    }
    ebnn_open_row(run, cursor->last);
}

// Pool a row of hits, which starts at a bit of a map, from left to right into every row of the output that takes it.
static void pool_row(const ebnn_run_t *run, const ebnn_cursor_t *cursor, const uint8_t *map, uint32_t start,
    uint32_t channel) {
    const ebnn_window_t *pool = &run->node->pool;
    uint32_t stride = run->out_stride, width = run->node->output.width;
    int32_t left = -(int32_t)pool->left;
    for (uint32_t x = 0; x < width; x++, left += pool->stride_w) {
        uint32_t from = left < 0 ? 0 : (uint32_t)left, to = (uint32_t)(left + pool->width), hits = 0;
        to = to < run->cols ? to : run->cols;
        for (uint32_t place = start + from * stride + channel; from < to; from++, place += stride) {
            hits |= ebnn_get(map, place, stride);
        }
        for (int32_t y = cursor->first; y <= cursor->last; y++) {
            ebnn_put(run->out, ((uint32_t)y * width + x) * stride + channel, stride, hits, 0);
        }
    }
}

// Forget the row's hits in these channels.
static void clear_row(const ebnn_run_t *run, uint32_t channel) {
    uint32_t step = (run->out_stride + 31) / 32, words = (run->cols * run->out_stride + 31) / 32;
    for (uint32_t i = channel / 32; i < words; i += step) {
        ((uint32_t *)(void *)run->row)[i] = 0;
    }
}

// Where windows do not overlap, their rows add up before they are pooled from left to right.
static void end_row(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t channel) {
    const ebnn_window_t *pool = &run->node->pool;
    cursor->x = 0;
    cursor->y++;
    if (run->pools) {
        int32_t behind = cursor->last * pool->stride_h + pool->height - pool->top;
        if (pool->height > pool->stride_h || (int32_t)cursor->y >= behind || cursor->y == run->rows) {
            pool_row(run, cursor, run->row, 0, channel);
            clear_row(run, channel);
        }
    }
    if (cursor->y < run->rows) {
        enter_row(run, cursor);
    }
}

// Take the hits of filters `channel` and up at `count` positions, and move the cursor behind them. Not inlined: its frame
// would lie below that of the kernels.
EBNN_NOINLINE static void emit(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t channel, const uint32_t *hits,
    uint32_t count) {
    uint32_t stride = run->out_stride, row = run->pools ? 0 : cursor->y * run->cols;
    for (uint32_t place = (row + cursor->x) * stride + channel; count != 0; count--, hits++) {
        ebnn_put(run->row, place, stride, *hits, 0);
        place += stride;
        if (++cursor->x == run->cols) {
            end_row(run, cursor, channel);
            place = run->pools ? channel : place;
        }
    }
}

// A row of a pool: its hits are the input.
static void pool_input(ebnn_run_t *run, ebnn_cursor_t *cursor) {
    for (uint32_t c = 0; c < run->in->channels; c += 32) {
        pool_row(run, cursor, run->input, cursor->y * run->pitch, c);
    }
    if (++cursor->y < run->rows) {
        enter_row(run, cursor);
    }
}

// How many positions the node's kernel takes at once.
static uint32_t tile_size(const ebnn_node_t *node) {
    switch (node->kernel_index) {
        case EBNN_KERNEL_LANES:
            return EBNN_LANES_TILE;
        case EBNN_KERNEL_BYTES:
            return EBNN_BYTES_TILE;
        default:
            return 1;
    }
}

// Not 0 where a poll has stopped it.
static int sum_tile(ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t count) {
    switch (run->node->kernel_index) {
#ifdef EBNN_WITH_LANES
        case EBNN_KERNEL_LANES:
            return ebnn_lanes_sum(run, cursor, count);
#endif
#ifdef EBNN_WITH_BYTES
        case EBNN_KERNEL_BYTES:
            ebnn_bytes_sum(run, cursor, count);
            return 0;
#endif
        default: {
            (void)count; // of a build without the fast kernels
            const ebnn_origin_t origin = ebnn_origin(run, cursor);
            ebnn_gather_patch(run, &origin);
            return 0;
        }
    }
}

EBNN_NOINLINE static const uint32_t *tile_hits(ebnn_run_t *run, uint32_t filter) {
    switch (run->node->kernel_index) {
#ifdef EBNN_WITH_LANES
        case EBNN_KERNEL_LANES:
            return ebnn_lanes_hits(run, filter);
#endif
#ifdef EBNN_WITH_BYTES
        case EBNN_KERNEL_BYTES:
            return ebnn_bytes_hits(run, filter);
#endif
        default:
            run->own[0] = ebnn_hit_bits(run, run->scratch, filter, ebnn_block(run->node->filters, filter));
            return run->own;
    }
}

void ebnn_start_hits(ebnn_run_t *run, ebnn_cursor_t *cursor) {
    if (run->pools) {
        memset(run->row, 0, ebnn_row_bytes(run->node));
    }
    enter_row(run, cursor);
}

// Hits of a convolution, or a pool by OR, up to a row: each position of the map once, whatever windows overlap; of the
// map before the pool there is one row. Polls once a row, and more often where a row is long.
int ebnn_run_hits(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t until) {
    const ebnn_node_t *node = run->node;
    uint32_t tile = tile_size(node);
    uint32_t most = EBNN_POLL_WORK / (8 * node->taps + node->filters * ebnn_filter_work(node) + 1);
    uint32_t burst = most < run->cols ? most : run->cols;
    while (cursor->y < until) {
        if (ebnn_poll(run)) {
            return EBNN_E_STOPPED;
        }
        if (node->op == EBNN_OP_POOL) {
            pool_input(run, cursor);
            continue;
        }
        uint32_t left = (until - cursor->y) * run->cols - cursor->x, end = left > burst ? left - burst : 0;
        do {
            uint32_t count = left < tile ? left : tile;
            const ebnn_cursor_t start = *cursor;
            if (sum_tile(run, cursor, count)) {
                return EBNN_E_STOPPED;
            }
            for (uint32_t f = 0; f < node->filters; f += 32) {
                if (f != 0 && most < tile && ebnn_poll(run)) {
                    return EBNN_E_STOPPED;
                }
                *cursor = start;
                emit(run, cursor, f, tile_hits(run, f), count);
            }
            left -= count;
        } while (left > end);
    }
    return EBNN_OK;
}
