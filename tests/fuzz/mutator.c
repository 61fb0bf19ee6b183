// Changes of models for the fuzzer that know what a model is: fields, records, parameters; records put in, taken out and
// taken from another model; now and then everything made to fit again, so that what is behind the checks is reached.

#include <string.h>

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
    static const uint8_t wide[] = { AT_OUT, AT_SCRATCH, AT_PARAMS };
    switch (draw(m, 5)) {
        case 0:
            change_number(m, r + wide[draw(m, 3)], 4);
            break;
        case 1:
            change_number(m, r + AT_FILTERS + 2 * draw(m, 2), 2);
            break;
        case 2:
            change_number(m, r + AT_KERNEL + draw(m, 16), 1);
            break;
        case 3:
            r[AT_FLAGS] ^= (uint8_t)(1U << draw(m, 4));
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
    return v->dtype == EBNN_DTYPE_BITS ? stride_of(v->size[2]) : (v->dtype == EBNN_DTYPE_U8 ? 8 : 32) * v->size[2];
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
    m->bytes[AT_DTYPE] &= 1;
    v.dtype = m->bytes[AT_DTYPE];
    return v;
}

// The operator that reads such a value; the record's own one where it does.
static uint32_t fit_operator(model_t *m, uint8_t *r, uint32_t dtype, int is_last) {
    static const uint8_t found[2][4] = { { 2, 2, 4, 7 }, { 1, 1, 1, 3 } };
    uint32_t op = r[0];
    if (is_last) {
        op = dtype == EBNN_DTYPE_BITS ? 6 : 5;
    } else if (dtype == EBNN_DTYPE_BITS ? op != 2 && op != 4 && op != 7 : op != 1 && op != 3) {
        op = found[dtype][draw(m, 4)];
    }
    r[0] = (uint8_t)op;
    uint32_t allowed = op == 7 ? 0 : op <= 2 ? 7 : op <= 4 ? 6 : 2;
    r[AT_FLAGS] &= (uint8_t)allowed;
    r[AT_SECOND] = 0;
    return op;
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
    put(r + AT_OUT, 4, at);
    put(r + AT_SCRATCH, 4, at + out);
    put(r + AT_SCRATCH_WORDS, 2, scratch / 4);
    return at + out + scratch;
}

// Make a record fit to the value that it reads; where the memory behind it is free, 0 where it cannot be done.
static uint32_t fit_record(model_t *m, uint8_t *r, const shape_t *in, shape_t *out, uint32_t at) {
    uint32_t op = fit_operator(m, r, in->dtype, r == record(m, nodes(m) - 1));
    int is_conv = op <= 2, is_pool = op == 7;
    uint32_t filters = get(r + AT_FILTERS, 2), map[2] = { 1, 1 }, taps = in->size[0] * in->size[1];
    filters = is_pool ? 0 : filters == 0 || filters > 300 ? 1 + draw(m, 40) : filters;
    put(r + AT_FILTERS, 2, filters);
    if (!is_conv) {
        memset(r + AT_KERNEL, 0, 8);
    }
    if (!is_conv && !is_pool) {
        memset(r + AT_POOL, 0, 8);
    }
    for (uint32_t axis = 0; axis < 2; axis++) {
        map[axis] = is_conv ? fit_window(m, r + AT_KERNEL, axis, in->size[axis]) : is_pool ? in->size[axis] : 1;
        out->size[axis] = is_conv || is_pool ? fit_window(m, r + AT_POOL, axis, map[axis]) : 1;
    }
    taps = is_conv ? (uint32_t)r[AT_KERNEL] * r[AT_KERNEL + 1] : taps;
    out->size[2] = is_pool ? in->size[2] : filters;
    out->dtype = op == 5 || op == 6 ? EBNN_DTYPE_I32 : EBNN_DTYPE_BITS;
    uint32_t bits = taps * (in->dtype == EBNN_DTYPE_BITS ? stride_of(in->size[2]) : in->size[2]);
    uint32_t numbers = (filters * (r[AT_FLAGS] & EBNN_FLAG_WIDE ? 4 : 2) + 3) / 4 * 4, words = (bits + 31) / 32;
    uint32_t map_row = is_conv ? (map[1] * stride_of(filters) + 31) / 32 * 4 : 0;
    if (is_pool) {
        put(r + AT_PARAMS, 4, 0);
    } else if (words > m->most || !fit_params(m, r, 4 * words * filters + numbers + (filters + 31) / 32 * 4)) {
        return 0;
    }
    uint64_t size = (uint64_t)out->size[0] * out->size[1] * pixel_bits(out);
    uint32_t scratch = map_row + (in->dtype == EBNN_DTYPE_BITS ? 4 * words : taps * in->size[2]);
    return size > 1 << 19 ? 0 : fit_places(m, r, at, (uint32_t)(size + 31) / 32 * 4, is_pool ? 0 : scratch);
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
        at = fit_record(m, r, &values[r[AT_FROM]], &values[i + 1], at);
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
