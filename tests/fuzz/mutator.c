// Changes of models for the fuzzer that know what a model is: fields, records, parameters; records put in, taken out and
// taken from another model; now and then everything made to fit again, so that what is behind the checks is reached.

#include <string.h>

#include "ebnn_core.h"
#include "harness.h"

#define RECORDS (EBNN_HEADER_SIZE)
#define MOST_NODES 12

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
    size_t most, unsigned seed);

typedef struct {
    uint8_t *bytes;
    size_t size, most;
    uint32_t random;
} model_t;

static uint32_t draw(model_t *m, uint32_t below) {
    m->random = m->random * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)(m->random >> 4) * below) >> 28);
}

static uint32_t get(const uint8_t *p, uint32_t bytes) {
    uint32_t number = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        number |= (uint32_t)p[i] << 8 * i;
    }
    return number;
}

static void put(uint8_t *p, uint32_t bytes, uint32_t number) {
    for (uint32_t i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(number >> 8 * i);
    }
}

static uint8_t *record(const model_t *m, uint32_t index) {
    return m->bytes + RECORDS + EBNN_RECORD_SIZE * index;
}

// Records that lie inside of the file.
static uint32_t nodes(const model_t *m) {
    uint32_t room = (uint32_t)(m->size - RECORDS) / EBNN_RECORD_SIZE, count = m->bytes[AT_COUNT];
    return count < room ? count : room;
}

// --- single changes ---

// A number of 1, 2 or 4 bytes: a step, a bit, an edge, or anything.
static void change_number(model_t *m, uint8_t *p, uint32_t bytes) {
    static const uint32_t steps[] = { 1, 2, 4, 8, 32, 64, 128, 1024 };
    const uint32_t edges[] = { 0, 1, 2, 3, 4, 8, 16, 31, 32, 33, 127, 128, 254, 255, 256, 0x7fff, 0x8000, 0xffff,
        0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, EBNN_MAX_ARENA, (uint32_t)m->size, (uint32_t)m->size - 4,
        get(m->bytes + AT_ARENA, 4), get(m->bytes + AT_ARENA, 4) - 4, RECORDS + EBNN_RECORD_SIZE * m->bytes[AT_COUNT] };
    uint32_t number = get(p, bytes), step = steps[draw(m, 8)];
    switch (draw(m, 6)) {
        case 0:
            number += step;
            break;
        case 1:
            number -= step;
            break;
        case 2:
            number ^= 1U << draw(m, 8 * bytes);
            break;
        case 3:
            number = edges[draw(m, sizeof(edges) / sizeof(edges[0]))];
            break;
        case 4:
            number = draw(m, 9);
            break;
        default:
            number = draw(m, 1U << 28);
    }
    put(p, bytes, number);
}

static void change_header(model_t *m) {
    static const uint8_t wide[] = { AT_TOTAL, AT_ARENA, AT_LABELS, AT_LABELS + 4 };
    switch (draw(m, 4)) {
        case 0:
            change_number(m, m->bytes + wide[draw(m, sizeof(wide))], 4);
            break;
        case 1:
            change_number(m, m->bytes + AT_SHAPE + 2 * draw(m, 3), 2);
            break;
        default:
            change_number(m, m->bytes + draw(m, EBNN_HEADER_SIZE), 1);
    }
}

static void change_record(model_t *m, uint8_t *r) {
    static const uint8_t wide[] = { AT_OUT, AT_SCRATCH, AT_PARAMS }, small[] = { AT_SECOND, AT_OUTPUT, AT_ENDING };
    uint32_t index = draw(m, 3);
    switch (draw(m, 6)) {
        case 0:
            change_number(m, r + wide[index], wide[index] == AT_PARAMS ? 4 : 3);
            break;
        case 4:
            change_number(m, r + small[index], 1);
            break;
        case 1:
            change_number(m, r + AT_FILTERS + 2 * draw(m, 2), 2);
            break;
        case 2:
            change_number(m, r + AT_KERNEL + draw(m, 16), 1);
            break;
        case 3:
            r[AT_FLAGS] ^= (uint8_t)(1U << draw(m, 8));
            break;
        default:
            change_number(m, r + draw(m, EBNN_RECORD_SIZE), 1);
    }
}

// Something behind the records: parameters or labels.
static void change_rest(model_t *m) {
    size_t start = RECORDS + EBNN_RECORD_SIZE * nodes(m);
    for (uint32_t left = 1 + draw(m, 4); left != 0 && start + 4 <= m->size; left--) {
        size_t place = start + draw(m, (uint32_t)(m->size - start - 3));
        change_number(m, m->bytes + place, 1U << draw(m, 3));
    }
}

static void resize(model_t *m, size_t size) {
    size = size < RECORDS ? RECORDS : size < m->most ? size : m->most;
    for (; m->size < size; m->size++) {
        m->bytes[m->size] = (uint8_t)draw(m, 256);
    }
    m->size = size;
}

// --- records put in and taken out ---

// Move everything from a record on, and what the records say of the places.
static void shift(model_t *m, uint32_t index, int32_t by) {
    uint8_t *from = record(m, index);
    size_t rest = (size_t)(m->bytes + m->size - from) - (by < 0 ? (size_t)-by : 0);
    memmove(from + (by < 0 ? 0 : by), from - (by < 0 ? by : 0), rest);
    m->size = (size_t)((int64_t)m->size + by);
    m->bytes[AT_COUNT] = (uint8_t)(m->bytes[AT_COUNT] + (by < 0 ? -1 : 1));
    if (get(m->bytes + AT_LABELS, 4) != 0) {
        put(m->bytes + AT_LABELS, 4, get(m->bytes + AT_LABELS, 4) + (uint32_t)by);
    }
    for (uint32_t i = 0; i < nodes(m); i++) {
        uint8_t *r = record(m, i);
        if (by < 0 || i != index) {
            put(r + AT_PARAMS, 4, get(r + AT_PARAMS, 4) + (uint32_t)by);
            r[AT_FROM] = (uint8_t)(r[AT_FROM] + (r[AT_FROM] > index ? (by < 0 ? -1 : 1) : 0));
            r[AT_SECOND] = (uint8_t)(r[AT_SECOND] + (r[AT_SECOND] > index ? (by < 0 ? -1 : 1) : 0));
        }
    }
}

static void put_record(model_t *m, const uint8_t *bytes) {
    if (nodes(m) < MOST_NODES && m->size + EBNN_RECORD_SIZE <= m->most) {
        uint8_t copy[EBNN_RECORD_SIZE];
        memcpy(copy, bytes, sizeof(copy)); // it may be one of those that move
        uint32_t index = draw(m, nodes(m) + 1);
        shift(m, index, EBNN_RECORD_SIZE);
        memcpy(record(m, index), copy, sizeof(copy));
    }
}

// --- making everything fit ---

typedef struct {
    uint32_t size[3], dtype;
} shape_t;

static uint32_t stride_of(uint32_t channels) {
    uint32_t stride = 1;
    for (; stride < channels && stride < 32; stride *= 2) {
    }
    return stride < channels ? (channels + 31) / 32 * 32 : stride;
}

static uint32_t pixel_bits(const shape_t *v) {
    static const uint8_t sizes[] = { 1, 8, 8, 16, 32 };
    return v->dtype == EBNN_DTYPE_BITS ? stride_of(v->size[2]) : sizes[v->dtype] * v->size[2];
}

static shape_t fit_input(model_t *m) {
    shape_t v;
    for (uint32_t i = 0; i < 3; i++) {
        v.size[i] = get(m->bytes + AT_SHAPE + 2 * i, 2);
        if (v.size[i] == 0 || v.size[i] > 256) {
            v.size[i] = 1 + draw(m, i == 2 ? 70 : 12);
        }
        put(m->bytes + AT_SHAPE + 2 * i, 2, v.size[i]);
    }
    m->bytes[AT_DTYPE] &= 3;
    v.dtype = m->bytes[AT_DTYPE];
    return v;
}

// Make a window fit into a map along an axis; how many of them there are.
static uint32_t fit_window(model_t *m, uint8_t *p, uint32_t axis, uint32_t size) {
    uint8_t *window = p + axis, *stride = p + 2 + axis, *before = p + 4 + axis, *after = p + 6 + axis;
    *window = *window == 0 ? (uint8_t)(1 + draw(m, 4)) : *window;
    *stride = *stride == 0 ? (uint8_t)(1 + draw(m, 3)) : *stride;
    *before = (uint8_t)(*before % *window);
    *after = (uint8_t)(*after % *window);
    if (size + *before + *after < *window) {
        *window = (uint8_t)(1 + draw(m, size < 255 ? size : 255));
        *before = (uint8_t)(*before % *window);
        *after = (uint8_t)(*after % *window);
    }
    return (size + *before + *after - *window) / *stride + 1;
}

// Parameters of so many bytes somewhere behind the records. 0 where there is no room.
static int fit_params(model_t *m, uint8_t *r, uint32_t bytes) {
    uint32_t end = RECORDS + EBNN_RECORD_SIZE * nodes(m), start = get(r + AT_PARAMS, 4);
    if (start % 4 != 0 || start < end || start > m->size || bytes > m->size - start) {
        start = end + 4 * draw(m, 8);
    }
    if (bytes > m->most || start > m->most - bytes) {
        return 0;
    }
    if (m->size < start + bytes) {
        resize(m, start + bytes);
    }
    put(r + AT_PARAMS, 4, start);
    return 1;
}

// Output and scratch behind each other. Some scratch is more than is needed, for the kernels that want more.
static uint32_t fit_places(model_t *m, uint8_t *r, uint32_t at, uint32_t out, uint32_t scratch) {
    static const uint32_t extra[] = { 0, 0, 64, 512, 1408, 4096 };
    scratch = (scratch + 3) / 4 * 4 + extra[draw(m, 6)] + 4 * draw(m, 64);
    put(r + AT_OUT, 3, at / 4);
    put(r + AT_SCRATCH, 3, (at + out) / 4);
    put(r + AT_SCRATCH_WORDS, 2, scratch / 4);
    return at + out + scratch;
}

// A node while it is made to fit; the numbers of its record.
typedef struct {
    uint8_t *r;
    const shape_t *values; // the one that it reads, and all before its output
    uint32_t index, op, dtype, flags, filters, levels, map_w;
    int is_last, is_or;
    shape_t in, out;
} node_t;

// Rows and columns of map and output.
static void fit_windows(model_t *m, node_t *n) {
    int has_kernel = n->op == EBNN_OP_CONV || n->op == EBNN_OP_DEPTHWISE, is_dense = n->op == EBNN_OP_DENSE;
    memset(n->r + AT_KERNEL, 0, has_kernel ? 0 : 8);
    memset(n->r + AT_POOL, 0, is_dense ? 8 : 0);
    for (uint32_t axis = 0; axis < 2; axis++) {
        uint32_t map = n->in.size[axis];
        map = is_dense ? 1 : has_kernel ? fit_window(m, n->r + AT_KERNEL, axis, map) : map;
        n->out.size[axis] = is_dense ? 1 : fit_window(m, n->r + AT_POOL, axis, map);
        n->map_w = map;
    }
}

// Operator, dtype of the output, levels or shift; scores at the end are those of a dense layer, mostly.
static void fit_ending(model_t *m, node_t *n) {
    n->op = n->r[0] - 1U < 4 ? n->r[0] : 1 + draw(m, 4);
    n->dtype = n->r[AT_OUTPUT];
    if (n->is_last ? n->dtype - 2U > 2 : n->dtype > EBNN_DTYPE_I16) {
        n->dtype = n->is_last ? 2 + draw(m, 3) : draw(m, 4);
    }
    fit_windows(m, n);
    if (n->is_last && n->out.size[0] * n->out.size[1] != 1) {
        n->op = EBNN_OP_DENSE;
        fit_windows(m, n);
    }
    n->is_or = n->op == EBNN_OP_POOL && n->in.dtype == EBNN_DTYPE_BITS && n->dtype == EBNN_DTYPE_BITS;
    n->is_or = n->is_or && !(n->r[AT_FLAGS] & EBNN_FLAG_SUM);
    n->levels = n->dtype != EBNN_DTYPE_BITS || n->is_or ? 1
        : n->r[AT_ENDING] - 1U < 4                      ? n->r[AT_ENDING]
                                                        : 1 + draw(m, 4);
    n->r[AT_ENDING] = (uint8_t)(n->dtype == EBNN_DTYPE_BITS ? n->levels : n->r[AT_ENDING] & 31U);
    n->r[AT_OUTPUT] = (uint8_t)n->dtype;
    n->r[0] = (uint8_t)n->op;
    n->out.dtype = n->dtype;
}

// Flags without a meaning go, and those with which sums of many taps pass their bound.
static void fit_flags(model_t *m, node_t *n) {
    int has_kernel = n->op == EBNN_OP_CONV || n->op == EBNN_OP_DEPTHWISE, is_bits = n->dtype == EBNN_DTYPE_BITS;
    uint32_t taps = n->op == EBNN_OP_DENSE ? n->in.size[0] * n->in.size[1] * n->in.size[2] : 64;
    uint32_t allowed = is_bits ? 0 : EBNN_FLAG_GAINS;
    allowed |= has_kernel && n->in.dtype == EBNN_DTYPE_BITS ? EBNN_FLAG_BORDER_NONE : 0;
    allowed |= has_kernel && n->in.dtype <= EBNN_DTYPE_U8 && !(n->r[AT_FLAGS] & EBNN_FLAG_BORDER_NONE)
        ? EBNN_FLAG_BORDER_PLUS
        : 0;
    allowed |= n->op == EBNN_OP_POOL || (n->in.dtype == EBNN_DTYPE_I16 && taps > 64) ? 0 : EBNN_FLAG_INT8_WEIGHTS;
    allowed |= n->op == EBNN_OP_DENSE ? 0 : EBNN_FLAG_SUM;
    allowed |= n->is_or || (!is_bits && draw(m, 4) != 0) ? 0 : EBNN_FLAG_WIDE;
    allowed |= n->is_or || !is_bits ? 0 : EBNN_FLAG_FLIPS;
    allowed |= is_bits && n->levels > 1 ? EBNN_FLAG_EXCLUSIVE : 0;
    n->flags = n->r[AT_FLAGS] & allowed;
    n->r[AT_FLAGS] = (uint8_t)n->flags;
}

static void fit_filters(model_t *m, node_t *n) {
    uint32_t filters = get(n->r + AT_FILTERS, 2), channels = n->in.size[2];
    filters = filters == 0 || filters > 300 ? 1 + draw(m, 40) : filters;
    if (n->op == EBNN_OP_DEPTHWISE || n->op == EBNN_OP_POOL) {
        filters = n->is_or || filters < channels ? channels : filters / channels * channels;
    }
    n->filters = filters;
    put(n->r + AT_FILTERS, 2, filters);
    n->out.size[2] = n->flags & EBNN_FLAG_EXCLUSIVE ? filters : filters * n->levels;
}

// Any value that can be added, where one is wanted.
static void fit_second(model_t *m, node_t *n) {
    uint32_t wanted = n->r[AT_SECOND], start = n->index == 0 ? 0 : draw(m, n->index);
    n->r[AT_SECOND] = 0;
    for (uint32_t i = 0; i < n->index && wanted != 0 && n->dtype != EBNN_DTYPE_BITS; i++) {
        uint32_t id = 1 + (start + i) % n->index;
        const shape_t *v = &n->values[id];
        int fits = v->size[0] == n->out.size[0] && v->size[1] == n->out.size[1] && v->size[2] <= n->out.size[2];
        if (fits && v->dtype != EBNN_DTYPE_BITS) {
            n->r[AT_SECOND] = (uint8_t)id;
        }
    }
}

// Make a record fit to the value that it reads; where the memory behind it is free, 0 where it cannot be done.
static uint32_t fit_record(model_t *m, node_t *n, uint32_t at) {
    fit_ending(m, n);
    fit_flags(m, n);
    fit_filters(m, n);
    fit_second(m, n);
    int is_dense = n->op == EBNN_OP_DENSE, is_conv = n->op == EBNN_OP_CONV;
    uint32_t pixels = is_dense ? n->in.size[0] * n->in.size[1] : (uint32_t)n->r[AT_KERNEL] * n->r[AT_KERNEL + 1];
    uint32_t gaps = n->flags & EBNN_FLAG_INT8_WEIGHTS ? 8 * n->in.size[2] : n->in.size[2];
    gaps = n->in.dtype == EBNN_DTYPE_BITS && gaps == n->in.size[2] ? stride_of(gaps) : gaps;
    uint32_t words = (pixels * gaps + 31) / 32, filters = n->filters;
    uint32_t rows = n->op == EBNN_OP_POOL ? 0 : n->op == EBNN_OP_DEPTHWISE ? filters / n->in.size[2] : filters;
    uint32_t numbers = (filters * n->levels * (n->flags & EBNN_FLAG_WIDE ? 4 : 2) + 3) / 4 * 4;
    numbers += (n->flags & EBNN_FLAG_GAINS ? (filters + 1) / 2 * 4 : 0) + (n->out.size[2] + 31) / 32 * 4;
    if (n->is_or) {
        put(n->r + AT_PARAMS, 4, 0);
    } else if (words > m->most || !fit_params(m, n->r, 4 * words * rows + numbers)) {
        return 0;
    }
    uint64_t size = (uint64_t)n->out.size[0] * n->out.size[1] * pixel_bits(&n->out);
    uint32_t patch = (pixels * pixel_bits(&n->in) + 31) / 32 * 4, row = (n->map_w * stride_of(filters) + 31) / 32 * 4;
    uint32_t scratch = is_conv ? row + patch * (n->flags & EBNN_FLAG_BORDER_NONE ? 2 : 1) : is_dense ? patch : 0;
    return size > 1 << 19 ? 0 : fit_places(m, n->r, at, (uint32_t)(size + 31) / 32 * 4, scratch);
}

// The whole model, as far as it goes.
static void fit_model(model_t *m) {
    shape_t values[256];
    uint32_t at = 0;
    m->bytes[AT_COUNT] = (uint8_t)(nodes(m) == 0 && m->size >= RECORDS + EBNN_RECORD_SIZE ? 1 : nodes(m));
    m->bytes[AT_DTYPE + 1] = 0;
    values[0] = fit_input(m);
    for (uint32_t i = 0; i < nodes(m); i++) {
        uint8_t *r = record(m, i);
        r[AT_FROM] = (uint8_t)(r[AT_FROM] % (i + 1));
        node_t n = { .r = r, .values = values, .index = i, .is_last = i + 1 == nodes(m), .in = values[r[AT_FROM]] };
        at = fit_record(m, &n, at);
        values[i + 1] = n.out;
        if (at == 0) {
            return;
        }
    }
    put(m->bytes + AT_ARENA, 4, at);
    if (draw(m, 4) != 0) { // a preparation wants more of the input than most have
        memset(m->bytes + EBNN_HEADER_SIZE - 4, 0, 4);
    }
    if (draw(m, 4) != 0) {
        put(m->bytes + AT_LABELS, 4, 0);
    }
}

// --- the fuzzer's entries ---

// Size and checksum as they should be, so that what is behind them is reached.
static size_t seal(model_t *m) {
    if (m->size >= EBNN_HEADER_SIZE && draw(m, 64) != 0) {
        put(m->bytes + AT_TOTAL, 4, (uint32_t)m->size);
    }
    if (m->size >= EBNN_HEADER_SIZE && draw(m, 64) != 0) {
        uint32_t crc = ebnn_crc32(0, m->bytes, AT_CRC);
        put(m->bytes + AT_CRC, 4, ebnn_crc32(crc, m->bytes + AT_CRC + 4, m->size - AT_CRC - 4));
    }
    return m->size;
}

static void change(model_t *m) {
    uint32_t count = nodes(m), index = count == 0 ? 0 : draw(m, count);
    switch (draw(m, 12)) {
        case 0:
            change_header(m);
            break;
        case 1:
            resize(m, draw(m, 2) ? m->size + draw(m, 64) : m->size - draw(m, 16));
            break;
        case 2:
            if (count > 1) {
                shift(m, index, -EBNN_RECORD_SIZE);
            }
            break;
        case 3:
            if (count != 0) {
                put_record(m, record(m, index));
            }
            break;
        case 4:
            m->size = LLVMFuzzerMutate(m->bytes, m->size, m->most);
            break;
        case 5:
        case 6:
        case 7:
            change_rest(m);
            break;
        default:
            if (count != 0) {
                change_record(m, record(m, index));
            }
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    model_t m = { data, size, most, seed };
    for (uint32_t left = 1 + draw(&m, 3); left != 0 && m.size >= EBNN_HEADER_SIZE; left--) {
        change(&m);
    }
    if (m.size < EBNN_HEADER_SIZE) {
        return LLVMFuzzerMutate(data, size, most);
    }
    if (draw(&m, 3) == 0) {
        fit_model(&m);
    }
    return seal(&m);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
    size_t most, unsigned seed) {
    model_t m = { out, a_size, most, seed };
    if (a_size < EBNN_HEADER_SIZE || a_size > most || b_size < EBNN_HEADER_SIZE + EBNN_RECORD_SIZE) {
        return 0;
    }
    memcpy(out, a, a_size);
    uint32_t room = (uint32_t)(b_size - EBNN_HEADER_SIZE) / EBNN_RECORD_SIZE;
    uint32_t count = b[AT_COUNT] < room ? b[AT_COUNT] : room;
    for (uint32_t left = count == 0 ? 0 : 1 + draw(&m, 2); left != 0; left--) {
        put_record(&m, b + EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * draw(&m, count));
    }
    if (draw(&m, 4) != 0) {
        fit_model(&m);
    }
    return seal(&m);
}
