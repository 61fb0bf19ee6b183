// Running a network: docs/SPEC.md, section 2. Bits lie in memory byte by byte, least significant bit first, so that the
// same code serves either byte order: XOR and popcount do not care, and single bits are reached through bytes.

#include "ebnn_core.h"

static ebnn_span_t start_span(uint32_t window, uint32_t pad) {
    return (ebnn_span_t) { 0, -1, -(int32_t)pad, (int32_t)window - (int32_t)pad };
}

// Move a span on to a position behind the last one; whether any window holds it.
static inline int advance(ebnn_span_t *span, uint32_t position, uint32_t stride, uint32_t limit) {
    while (span->enter <= (int32_t)position && span->last + 1 < (int32_t)limit) {
        span->last++;
        span->enter += (int32_t)stride;
    }
    while (span->leave <= (int32_t)position) {
        span->first++;
        span->leave += (int32_t)stride;
    }
    return span->first <= span->last;
}

// Find the first covered row from cursor->y on.
static int find_row(const ebnn_run_t *run, ebnn_cursor_t *cursor) {
    for (; cursor->y < run->node->map_h; cursor->y++) {
        if (advance(&cursor->rows, cursor->y, run->node->pool.stride_h, run->node->output.height)) {
            return 1;
        }
    }
    return 0;
}

// Find the first covered position of the row from cursor->x on.
static int find_column(const ebnn_run_t *run, ebnn_cursor_t *cursor) {
    for (; cursor->x < run->node->map_w; cursor->x++) {
        if (advance(&cursor->cols, cursor->x, run->node->pool.stride_w, run->node->output.width)) {
            return 1;
        }
    }
    return 0;
}

static int start_row(const ebnn_run_t *run, ebnn_cursor_t *cursor) {
    cursor->x = 0;
    cursor->cols = start_span(run->node->pool.width, run->node->pool.left);
    // A window fits into the map, so some position of each covered row is covered.
    return find_row(run, cursor) && find_column(run, cursor);
}

int ebnn_cursor_next(const ebnn_run_t *run, ebnn_cursor_t *cursor) {
    cursor->x++;
    if (find_column(run, cursor)) {
        return 1;
    }
    cursor->y++;
    return start_row(run, cursor);
}

static int poll(const ebnn_run_t *run) {
    return run->job->poll != NULL && run->job->poll(run->job->ctx) != 0;
}

void ebnn_emit(const ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t channel, uint32_t bits) {
    for (int32_t y = cursor->rows.first; y <= cursor->rows.last; y++) {
        for (int32_t x = cursor->cols.first; x <= cursor->cols.last; x++) {
            uint32_t pixel = (uint32_t)(y * run->node->output.width + x);
            ebnn_put_bits(run->out, pixel * run->out_stride + channel, bits, 0);
        }
    }
}

// One position of a pool: its bits come from the input.
static void run_pool(const ebnn_run_t *run, const ebnn_cursor_t *first) {
    uint32_t channels = run->in->channels, place = (first->y * run->in->width + first->x) * run->in_stride;
    for (uint32_t c = 0; c < channels; c += 32) {
        ebnn_emit(run, first, c, ebnn_get_bits(run->input, place + c, ebnn_block(channels, c)));
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

static void run_tile(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count) {
    switch (run->node->kernel_index) {
#ifndef EBNN_HAS_POPCOUNT
        case EBNN_KERNEL_LANES:
            ebnn_lanes_run(run, first, count);
            break;
#endif
        case EBNN_KERNEL_BYTES:
            ebnn_bytes_run(run, first, count);
            break;
        case EBNN_KERNEL_PLAIN:
            ebnn_plain_run(run, first);
            break;
        default:
            run_pool(run, first);
    }
}

// Convolution or pooling: each position of the map once, whatever windows overlap; no map before the pool exists.
static int run_map(const ebnn_run_t *run) {
    const ebnn_node_t *node = run->node;
    ebnn_cursor_t cursor = { .rows = start_span(node->pool.height, node->pool.top) };
    int more = start_row(run, &cursor);
    uint32_t tile = tile_size(node), polled = UINT32_MAX;
    while (more) {
        if (cursor.y != polled && poll(run)) {
            return EBNN_E_STOPPED;
        }
        polled = cursor.y;
        ebnn_cursor_t first = cursor;
        uint32_t count = 0;
        do {
            count++;
            more = ebnn_cursor_next(run, &cursor);
        } while (more && count < tile);
        run_tile(run, &first, count);
    }
    return EBNN_OK;
}

static int run_dense(const ebnn_run_t *run) {
    const ebnn_node_t *node = run->node;
    const uint8_t *patch = run->input;
    if (node->input == EBNN_DTYPE_BITS && node->from == 0) {
        patch = memcpy(run->scratch, run->input, 4 * node->row_words); // the caller's input may be misaligned
    }
    for (uint32_t f = 0; f < node->filters; f += 32) {
        if (poll(run)) {
            return EBNN_E_STOPPED;
        }
        uint32_t count = ebnn_block(node->filters, f);
        if (node->output.dtype == EBNN_DTYPE_BITS) {
            ebnn_put_bits(run->out, f, ebnn_hit_bits(run, patch, f, count), 0);
            continue;
        }
        int32_t *scores = (int32_t *)(void *)run->out + f;
        for (uint32_t i = 0; i < count; i++) {
            // Unsigned, because the offset may have changed since it was checked.
            uint32_t offset = (uint32_t)ebnn_number(node, run->numbers, f + i);
            scores[i] = (int32_t)((uint32_t)ebnn_filter_sum(run, patch, f + i) + offset);
        }
    }
    return EBNN_OK;
}

static void run_flips(const ebnn_run_t *run) {
    const ebnn_value_t *out = &run->node->output;
    uint32_t pixels = (uint32_t)out->height * out->width;
    for (uint32_t c = 0; c < out->channels; c += 32) {
        uint32_t bits = ebnn_get_bits(run->flips, c, ebnn_block(out->channels, c));
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            ebnn_put_bits(run->out, pixel * run->out_stride + c, bits, 1);
        }
    }
}

static int run_node(const ebnn_t *net, const ebnn_job_t *job, uint32_t index) {
    const ebnn_node_t *node = &net->nodes[index];
    const uint8_t *model = job->model;
    uint8_t *arena = job->arena;
    ebnn_run_t run = {
        .node = node,
        .in = ebnn_value(net, net->nodes, node->from),
        .input = node->from == 0 ? job->input : arena + net->nodes[node->from - 1].out,
        .out = arena + node->out,
        .scratch = arena + node->scratch,
        .weights = model + node->weights,
        .numbers = model + node->numbers,
        .flips = model + node->flips,
        .out_stride = ebnn_pixel_stride(node->output.channels),
        .job = job,
    };
    run.in_stride = ebnn_pixel_stride(run.in->channels);
    memset(run.out, 0, ebnn_value_size(&node->output));
    int rc = node->source == EBNN_SOURCE_DENSE ? run_dense(&run) : run_map(&run);
    if (rc == EBNN_OK && node->flips != 0) {
        run_flips(&run);
    }
    return rc;
}

int ebnn_run(const ebnn_t *net, const ebnn_job_t *job) {
    if (((uintptr_t)job->model | (uintptr_t)job->arena) % 4 != 0) {
        return EBNN_E_ALIGN;
    }
    if (job->arena_size < net->arena_size) {
        return EBNN_E_SPACE;
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        int rc = run_node(net, job, i);
        if (rc != EBNN_OK) {
            return rc;
        }
        if (job->trace != NULL) {
            const uint8_t *out = (const uint8_t *)job->arena + net->nodes[i].out;
            job->trace(job->ctx, i, out, ebnn_value_size(&net->nodes[i].output));
        }
    }
    return EBNN_OK;
}

const int32_t *ebnn_scores(const ebnn_t *net, const void *arena) {
    const uint8_t *out = (const uint8_t *)arena + net->nodes[net->node_count - 1].out;
    return (const int32_t *)(const void *)out;
}

int ebnn_argmax(const ebnn_t *net, const void *arena) {
    const int32_t *scores = ebnn_scores(net, arena);
    uint32_t best = 0;
    for (uint32_t i = 1; i < net->classes; i++) {
        if (scores[i] > scores[best]) {
            best = i;
        }
    }
    return (int)best;
}

void ebnn_selftest_input(const ebnn_t *net, void *input) {
    uint32_t channels = net->input.channels, stride = ebnn_pixel_stride(channels), x = net->selftest_seed;
    uint32_t pixels = (uint32_t)net->input.height * net->input.width;
    uint8_t *bytes = input;
    memset(bytes, 0, net->input_size);
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        for (uint32_t c = 0; c < channels; c++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            if (net->input.dtype == EBNN_DTYPE_U8) {
                bytes[pixel * channels + c] = (uint8_t)(x >> 24);
            } else {
                ebnn_put_bits(bytes, pixel * stride + c, x >> 31, 0);
            }
        }
    }
}

uint32_t ebnn_scores_crc(const ebnn_t *net, const void *arena) {
    const int32_t *scores = ebnn_scores(net, arena);
    uint32_t crc = 0;
    for (uint32_t i = 0; i < net->classes; i++) {
        uint32_t s = (uint32_t)scores[i];
        const uint8_t bytes[4] = { (uint8_t)s, (uint8_t)(s >> 8), (uint8_t)(s >> 16), (uint8_t)(s >> 24) };
        crc = ebnn_crc32(crc, bytes, 4);
    }
    return crc;
}

uint32_t ebnn_crc32(uint32_t crc, const void *data, size_t size) {
    static const uint32_t table[16] = {
        0x00000000,
        0x1db71064,
        0x3b6e20c8,
        0x26d930ac,
        0x76dc4190,
        0x6b6b51f4,
        0x4db26158,
        0x5005713c,
        0xedb88320,
        0xf00f9344,
        0xd6d6a3e8,
        0xcb61b38c,
        0x9b64c2b0,
        0x86d3d2d4,
        0xa00ae278,
        0xbdbdf21c,
    };
    const uint8_t *p = data;
    for (crc = ~crc; size != 0; size--, p++) {
        crc = table[(crc ^ *p) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)*p >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}
