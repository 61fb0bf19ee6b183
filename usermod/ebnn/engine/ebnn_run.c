// Running a network: docs/SPEC.md, section 2. Bits lie in memory byte by byte, least significant bit first, so that the
// same code serves either byte order: XOR and popcount do not care, and single bits are reached through bytes.

#include <string.h>

#include "ebnn_core.h"

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
} run_t;

// The outputs first .. last whose windows hold a position; empty where first > last.
typedef struct {
    int32_t first, last;
} span_t;

static inline uint32_t ebnn_popcount(uint32_t x) {
    x -= x >> 1 & 0x55555555UL;
    x = (x & 0x33333333UL) + (x >> 2 & 0x33333333UL);
    x = (x + (x >> 4)) & 0x0f0f0f0fUL;
    x += x >> 8;
    x += x >> 16;
    return x & 0x3f;
}

// Move a span on to the next position along an axis.
static void advance(span_t *span, int32_t position, const uint8_t window_stride_pad[3], int32_t limit) {
    int32_t window = window_stride_pad[0], stride = window_stride_pad[1], pad = window_stride_pad[2];
    while (span->last + 1 < limit && (span->last + 1) * stride - pad <= position) {
        span->last++;
    }
    while (span->first <= span->last && span->first * stride - pad + window <= position) {
        span->first++;
    }
}

static int poll(const run_t *run) {
    return run->job->poll != NULL && run->job->poll(run->job->ctx) != 0;
}

// Combine up to 32 bits into a map at bit `place`: OR, or XOR.
static void put_bits(uint8_t *map, uint32_t place, uint32_t bits, int toggle) {
    uint8_t *p = map + place / 8;
    // Only pixel strides below 8 start inside of a byte, and they do not leave it.
    bits <<= place % 8;
    for (; bits != 0; bits >>= 8, p++) {
        *p = (uint8_t)(toggle ? *p ^ bits : *p | bits);
    }
}

static uint32_t get_bits(const uint8_t *map, uint32_t place, uint32_t count) {
    const uint8_t *p = map + place / 8;
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; i += 8) {
        bits |= (uint32_t)*p++ << i;
    }
    bits >>= place % 8;
    return bits & UINT32_MAX >> (32 - count);
}

// OR bits of one map into another that is 0 there.
static void copy_bits(uint8_t *to, uint32_t to_bit, const uint8_t *from, uint32_t from_bit, uint32_t count) {
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

// The part of a kernel's width that lies inside of the input: taps first .. last - 1.
static span_t inside(int32_t start, int32_t kernel, int32_t size) {
    span_t span = { start < 0 ? -start : 0, size - start < kernel ? size - start : kernel };
    if (span.last < span.first) {
        span.last = span.first;
    }
    return span;
}

static void set_border(const run_t *run, uint32_t tap, uint32_t count) {
    for (uint32_t end = tap + count; tap < end; tap++) {
        for (uint32_t c = 0; c < run->in->channels; c++) {
            uint32_t bit = tap * run->in_stride + c;
            run->scratch[bit / 8] = (uint8_t)(run->scratch[bit / 8] | 1U << (bit & 7));
        }
    }
}

// One row of a kernel of a bits source -> the patch, which starts as all zeros.
static void gather_bits(const run_t *run, uint32_t ky, int32_t y, int32_t x) {
    uint32_t width = run->node->kernel.width, tap = ky * width;
    span_t cols = { 0, 0 };
    if (y >= 0 && y < run->in->height) {
        cols = inside(x, (int32_t)width, run->in->width);
        uint32_t pixel = (uint32_t)(y * run->in->width + x + cols.first);
        copy_bits(run->scratch, (tap + (uint32_t)cols.first) * run->in_stride, run->input, pixel * run->in_stride,
            (uint32_t)(cols.last - cols.first) * run->in_stride);
    }
    if (run->node->flags & EBNN_FLAG_BORDER_PLUS) {
        set_border(run, tap, (uint32_t)cols.first);
        set_border(run, tap + (uint32_t)cols.last, width - (uint32_t)cols.last);
    }
}

// The same for a byte source; the patch starts as all border.
static void gather_u8(const run_t *run, uint32_t ky, int32_t y, int32_t x) {
    uint32_t channels = run->in->channels, width = run->node->kernel.width;
    if (y < 0 || y >= run->in->height) {
        return;
    }
    span_t cols = inside(x, (int32_t)width, run->in->width);
    uint32_t pixel = (uint32_t)(y * run->in->width + x + cols.first);
    memcpy(run->scratch + (ky * width + (uint32_t)cols.first) * channels, run->input + pixel * channels,
        (uint32_t)(cols.last - cols.first) * channels);
}

// All taps of the kernel at a map position -> the patch in the scratch.
static void gather(const run_t *run, uint32_t map_y, uint32_t map_x) {
    const ebnn_node_t *node = run->node;
    int32_t y = (int32_t)(map_y * node->kernel.stride_h) - node->kernel.top;
    int32_t x = (int32_t)(map_x * node->kernel.stride_w) - node->kernel.left;
    if (node->input == EBNN_DTYPE_BITS) {
        memset(run->scratch, 0, 4 * node->row_words);
        for (uint32_t ky = 0; ky < node->kernel.height; ky++) {
            gather_bits(run, ky, y + (int32_t)ky, x);
        }
    } else {
        memset(run->scratch, node->flags & EBNN_FLAG_BORDER_PLUS ? 255 : 0, node->taps);
        for (uint32_t ky = 0; ky < node->kernel.height; ky++) {
            gather_u8(run, ky, y + (int32_t)ky, x);
        }
    }
}

// Sum of w * x over bits: taps that agree minus taps that do not. Both operands are aligned.
static int32_t sum_bits(const ebnn_node_t *node, const void *patch, const void *row) {
    const uint32_t *x = patch, *w = row;
    uint32_t mismatches = 0;
    for (uint32_t i = 0; i < node->row_words; i++) {
        mismatches += EBNN_POPCOUNT(x[i] ^ w[i]);
    }
    return (int32_t)(node->taps - 2 * mismatches);
}

// Sum of w * x over bytes.
static int32_t sum_u8(const ebnn_node_t *node, const uint8_t *x, const uint8_t *w) {
    uint32_t plus = 0, all = 0;
    for (uint32_t left = node->taps; left != 0; w++) {
        uint32_t step = left < 8 ? left : 8, bits = *w;
        left -= step;
        for (; step != 0; step--, bits >>= 1) {
            uint32_t value = *x++;
            all += value;
            plus += value & (0 - (bits & 1));
        }
    }
    return (int32_t)(2 * plus - all);
}

static int32_t filter_sum(const run_t *run, const uint8_t *patch, uint32_t filter) {
    const ebnn_node_t *node = run->node;
    const uint8_t *row = run->weights + 4 * node->row_words * filter;
    return node->input == EBNN_DTYPE_BITS ? sum_bits(node, patch, row) : sum_u8(node, patch, row);
}

// Hits of `count` filters, at most 32, as bits.
static uint32_t hit_bits(const run_t *run, const uint8_t *patch, uint32_t filter, uint32_t count) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; i++) {
        int32_t acc = filter_sum(run, patch, filter + i);
        bits |= (uint32_t)(acc >= ebnn_number(run->node, run->numbers, filter + i)) << i;
    }
    return bits;
}

// Bits of one map position -> every output whose pool window holds it.
static void emit(const run_t *run, span_t rows, span_t cols, uint32_t channel, uint32_t bits) {
    for (int32_t y = rows.first; y <= rows.last; y++) {
        for (int32_t x = cols.first; x <= cols.last; x++) {
            uint32_t pixel = (uint32_t)(y * run->node->output.width + x);
            put_bits(run->out, pixel * run->out_stride + channel, bits, 0);
        }
    }
}

static uint32_t block_size(uint32_t channels, uint32_t first) {
    return channels - first < 32 ? channels - first : 32;
}

// One position of the map before the pool.
static void map_pixel(const run_t *run, span_t rows, span_t cols, uint32_t y, uint32_t x) {
    uint32_t channels = run->node->output.channels;
    int is_conv = run->node->source == EBNN_SOURCE_CONV;
    if (is_conv) {
        gather(run, y, x);
    }
    for (uint32_t c = 0; c < channels; c += 32) {
        uint32_t count = block_size(channels, c), place = (y * run->in->width + x) * run->in_stride + c;
        uint32_t bits = is_conv ? hit_bits(run, run->scratch, c, count) : get_bits(run->input, place, count);
        emit(run, rows, cols, c, bits);
    }
}

// Convolution or pooling: each position of the map once, whatever windows overlap; no map before the pool exists.
static int run_map(const run_t *run) {
    const ebnn_node_t *node = run->node;
    const uint8_t down[3] = { node->pool.height, node->pool.stride_h, node->pool.top };
    const uint8_t across[3] = { node->pool.width, node->pool.stride_w, node->pool.left };
    span_t rows = { 0, -1 };
    for (uint32_t y = 0; y < node->map_h; y++) {
        if (poll(run)) {
            return EBNN_E_STOPPED;
        }
        advance(&rows, (int32_t)y, down, node->output.height);
        if (rows.first > rows.last) {
            continue;
        }
        span_t cols = { 0, -1 };
        for (uint32_t x = 0; x < node->map_w; x++) {
            advance(&cols, (int32_t)x, across, node->output.width);
            if (cols.first <= cols.last) {
                map_pixel(run, rows, cols, y, x);
            }
        }
    }
    return EBNN_OK;
}

static int run_dense(const run_t *run) {
    const ebnn_node_t *node = run->node;
    const uint8_t *patch = run->input;
    if (node->input == EBNN_DTYPE_BITS && node->from == 0) {
        patch = memcpy(run->scratch, run->input, 4 * node->row_words); // the caller's input may be misaligned
    }
    for (uint32_t f = 0; f < node->filters; f += 32) {
        if (poll(run)) {
            return EBNN_E_STOPPED;
        }
        uint32_t count = block_size(node->filters, f);
        if (node->output.dtype == EBNN_DTYPE_BITS) {
            put_bits(run->out, f, hit_bits(run, patch, f, count), 0);
            continue;
        }
        int32_t *scores = (int32_t *)(void *)run->out + f;
        for (uint32_t i = 0; i < count; i++) {
            // Unsigned, because the offset may have changed since it was checked.
            uint32_t offset = (uint32_t)ebnn_number(node, run->numbers, f + i);
            scores[i] = (int32_t)((uint32_t)filter_sum(run, patch, f + i) + offset);
        }
    }
    return EBNN_OK;
}

static void run_flips(const run_t *run) {
    const ebnn_value_t *out = &run->node->output;
    uint32_t pixels = (uint32_t)out->height * out->width;
    for (uint32_t c = 0; c < out->channels; c += 32) {
        uint32_t bits = get_bits(run->flips, c, block_size(out->channels, c));
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            put_bits(run->out, pixel * run->out_stride + c, bits, 1);
        }
    }
}

static int run_node(const ebnn_t *net, const ebnn_job_t *job, uint32_t index) {
    const ebnn_node_t *node = &net->nodes[index];
    const uint8_t *model = job->model;
    uint8_t *arena = job->arena;
    run_t run = {
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
                put_bits(bytes, pixel * stride + c, x >> 31, 0);
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
