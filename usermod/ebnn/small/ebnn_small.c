// The engine for the least memory: of ebnn.h what opens and runs a model, for chains of convolutions without padding,
// whose pools do not overlap, and dense layers on bits; weights of a bit, one threshold a filter, scores of 32 bits;
// sides of at most 255, at most 1024 channels. What it lacks it refuses (operators as EBNN_E_OP, sizes as EBNN_E_HEADER
// and EBNN_E_SHAPE); what both open gives the same scores as in the whole engine, bit by bit. Of the header it checks
// what it reads.

#include "../engine/ebnn_core.h"

// So no size, sum or number of taps passes 31 bits.
#define MAX_SIDE 255
#define MAX_CHANNELS 1024

static uint32_t get(const uint8_t *p, uint32_t size) {
    uint32_t value = 0;
    while (size-- != 0) {
        value = value << 8 | p[size];
    }
    return value;
}

static uint32_t words(uint32_t bits) {
    return (bits + 31) / 32;
}

uint32_t ebnn_crc32(uint32_t crc, const void *data, size_t size) {
    const uint8_t *p = data;
    for (crc = ~crc; size != 0; size--) {
        crc ^= *p++;
        for (uint32_t bit = 8; bit != 0; bit--) {
            crc = crc >> 1 ^ (0xedb88320UL & (0 - (crc & 1)));
        }
    }
    return ~crc;
}

// --- opening -------------------------------------------------------------------------------------------------------

int ebnn_node_count(const void *model, size_t size) {
    const uint8_t *p = model;
    if (size < EBNN_HEADER_SIZE) {
        return EBNN_E_TRUNCATED;
    }
    if (get(p, 4) != 0x4e4e4245UL) { // "EBNN"
        return EBNN_E_MAGIC;
    }
    if (p[4] != EBNN_FORMAT_MAJOR || p[5] > EBNN_FORMAT_MINOR) {
        return EBNN_E_VERSION;
    }
    uint32_t total = get(p + 8, 4);
    if (total != size) {
        return total > size ? EBNN_E_TRUNCATED : EBNN_E_SIZE;
    }
    if (get(p + 12, 4) != ebnn_crc32(ebnn_crc32(0, p, 12), p + 16, size - 16)) {
        return EBNN_E_CRC;
    }
    uint32_t count = p[7];
    return count == 0 || EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * count > size ? EBNN_E_HEADER : (int)count;
}

// 0 for a value that has nothing, or more than can be here.
uint32_t ebnn_value_size(const ebnn_value_t *v) {
    if (v->height > MAX_SIDE || v->width > MAX_SIDE || v->channels > MAX_CHANNELS || v->channels == 0) {
        return 0;
    }
    uint32_t pixels = (uint32_t)v->height * v->width;
    if (v->dtype == EBNN_DTYPE_BITS) {
        return 4 * words(pixels * ebnn_pixel_stride(v->channels));
    }
    return pixels * v->channels * (v->dtype == EBNN_DTYPE_U8 ? 1 : 4);
}

static int in_arena(const ebnn_t *net, uint32_t start, uint32_t length) {
    return length <= net->arena_size && start <= net->arena_size - length;
}

// What the node is, and that nothing is asked of it that is not here.
static int read_op(ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *record) {
    uint32_t output = record[27], is_bits = output == EBNN_DTYPE_BITS;
    uint32_t more = record[3] | (record[31] ^ is_bits); // one level, or no shift
    int is_conv = record[0] == EBNN_OP_CONV;
    node->op = record[0];
    node->flags = record[1];
    node->input = in->dtype;
    node->output.dtype = (uint8_t)output;
    node->output.channels = node->filters = (uint16_t)get(record + 4, 2);
    if (is_conv) {
        more |= (uint32_t)(record[16] ^ record[18]) | (uint32_t)(record[17] ^ record[19]);
    }
    for (uint32_t i = 8; i < 24; i++) {
        more |= is_conv && !(i & 4) ? 0U : record[i]; // of a convolution only the padding
    }
    uint32_t flags = is_bits ? EBNN_FLAG_WIDE | EBNN_FLAG_FLIPS : 0;
    flags |= is_conv ? EBNN_FLAG_BORDER_PLUS | EBNN_FLAG_BORDER_NONE : 0;
    int is_dense = record[0] == EBNN_OP_DENSE && in->dtype == EBNN_DTYPE_BITS;
    int is_known = (is_conv && is_bits) || (is_dense && (is_bits || output == EBNN_DTYPE_I32));
    return is_known && more == 0 && (node->flags & ~flags) == 0 ? EBNN_OK : EBNN_E_OP;
}

// A dense layer is a convolution whose kernel is the whole input.
static int read_shape(ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *record) {
    const uint8_t dense[4] = { (uint8_t)in->height, (uint8_t)in->width, 1, 1 };
    int is_conv = node->op == EBNN_OP_CONV;
    memcpy(&node->kernel, is_conv ? record + 8 : dense, 4);
    memcpy(&node->pool, is_conv ? record + 16 : dense + 2, 2);
    const ebnn_window_t *kernel = &node->kernel, *pool = &node->pool;
    if (kernel->height == 0 || kernel->width == 0 || kernel->stride_h == 0 || kernel->stride_w == 0 || pool->height == 0
        || pool->width == 0 || kernel->height > in->height || kernel->width > in->width) {
        return EBNN_E_SHAPE;
    }
    node->output.height = (uint16_t)(((in->height - kernel->height) / kernel->stride_h + 1) / pool->height);
    node->output.width = (uint16_t)(((in->width - kernel->width) / kernel->stride_w + 1) / pool->width);
    return ebnn_value_size(&node->output) == 0 ? EBNN_E_SHAPE : EBNN_OK;
}

static int read_params(const ebnn_t *net, ebnn_node_t *node, const ebnn_value_t *in, uint32_t start) {
    uint32_t area = (uint32_t)node->kernel.height * node->kernel.width, filters = node->filters;
    int is_u8 = node->input == EBNN_DTYPE_U8;
    node->taps = area * in->channels;
    node->row_words = words(is_u8 ? node->taps : area * ebnn_pixel_stride(in->channels));
    uint32_t records_end = EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * net->node_count, rows = node->row_words * filters;
    if (start % 4 != 0 || start < records_end || start > net->size || rows > (net->size - start) / 4) {
        return EBNN_E_RANGE;
    }
    node->weights = start;
    node->numbers = start + 4 * rows;
    uint32_t numbers = (filters * (node->flags & EBNN_FLAG_WIDE ? 4U : 2U) + 3) / 4 * 4;
    uint32_t flips = node->flags & EBNN_FLAG_FLIPS ? 4 * words(filters) : 0;
    if (numbers + flips > net->size - node->numbers) {
        return EBNN_E_RANGE;
    }
    node->flips = flips != 0 ? node->numbers + numbers : 0;
    return is_u8 && node->taps > EBNN_MAX_SUM / 255 ? EBNN_E_OVERFLOW : EBNN_OK;
}

// Bytes of the patch, of a layer that reads no map where it lies.
static uint32_t patch_size(const ebnn_node_t *node) {
    int is_in_place = node->op == EBNN_OP_DENSE && node->from != 0;
    return is_in_place ? 0 : node->input == EBNN_DTYPE_U8 ? node->taps : 4 * node->row_words;
}

static int read_node(const ebnn_t *net, ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *record) {
    int rc = read_op(node, in, record);
    if (rc == EBNN_OK && node->from != record[2]) {
        rc = EBNN_E_LINK;
    }
    if (rc == EBNN_OK && (node->from + 1U == net->node_count) != (node->output.dtype == EBNN_DTYPE_I32)) {
        rc = EBNN_E_SHAPE;
    }
    rc = rc == EBNN_OK ? read_shape(node, in, record) : rc;
    rc = rc == EBNN_OK ? read_params(net, node, in, get(record + 32, 4)) : rc;
    node->out = 4 * get(record + 24, 3);
    node->scratch = 4 * get(record + 28, 3);
    uint32_t scratch_size = 4 * get(record + 6, 2);
    if (rc == EBNN_OK
        && (!in_arena(net, node->out, ebnn_value_size(&node->output)) || !in_arena(net, node->scratch, scratch_size)
            || scratch_size < patch_size(node))) {
        rc = EBNN_E_ARENA;
    }
    return rc;
}

int ebnn_open(ebnn_t *net, ebnn_node_t *nodes, size_t max_nodes, const void *model, size_t size) {
    const uint8_t *p = model;
    int rc = ebnn_node_count(model, size);
    if (rc < 0) {
        return rc;
    }
    if ((size_t)rc > max_nodes) {
        return EBNN_E_NODES;
    }
    memset(net, 0, sizeof(ebnn_t));
    net->nodes = nodes;
    net->node_count = (uint32_t)rc;
    net->size = (uint32_t)size;
    net->arena_size = get(p + 16, 4);
    net->input.height = (uint16_t)get(p + 20, 2);
    net->input.width = (uint16_t)get(p + 22, 2);
    net->input.channels = (uint16_t)get(p + 24, 2);
    net->input.dtype = p[26];
    net->input_size = ebnn_value_size(&net->input);
    if (p[6] != EBNN_RECORD_SIZE || net->arena_size % 4 != 0 || net->arena_size > EBNN_MAX_ARENA || net->input_size == 0
        || net->input.dtype > EBNN_DTYPE_U8) {
        return EBNN_E_HEADER;
    }
    const ebnn_value_t *in = &net->input;
    const uint8_t *record = p + EBNN_HEADER_SIZE;
    for (uint32_t i = 0; i < net->node_count; i++, record += EBNN_RECORD_SIZE) {
        nodes[i].from = (uint8_t)i;
        rc = read_node(net, &nodes[i], in, record);
        if (rc != EBNN_OK) {
            return rc;
        }
        in = &nodes[i].output;
    }
    net->classes = in->channels;
    return EBNN_OK;
}

// --- running -------------------------------------------------------------------------------------------------------

// The taps of a position -> a patch that lies as a filter does.
static void gather(const ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *input, uint32_t pixel,
    uint8_t *patch) {
    const uint32_t stride = ebnn_pixel_stride(in->channels), columns = node->kernel.width;
    uint32_t place = 0;
    if (node->input == EBNN_DTYPE_BITS) {
        memset(patch, 0, 4 * node->row_words);
    }
    for (uint32_t row = node->kernel.height; row != 0; row--, pixel += in->width) {
        if (node->input == EBNN_DTYPE_U8) {
            memcpy(patch, input + pixel * in->channels, columns * in->channels);
            patch += columns * in->channels;
            continue;
        }
        for (uint32_t from = pixel * stride, end = from + columns * stride; from < end;) {
            uint32_t count = stride < 32 ? stride : 32;
            ebnn_put(patch, place, stride, ebnn_get(input, from, stride), 0);
            place += count;
            from += count;
        }
    }
}

static int32_t sum_taps(const ebnn_node_t *node, const uint8_t *patch, const uint8_t *row) {
    uint32_t sum = 0;
    if (node->input == EBNN_DTYPE_BITS) {
        const uint32_t *x = (const void *)patch, *w = (const void *)row;
        for (uint32_t i = node->row_words; i != 0; i--) {
            uint32_t bits = *x++ ^ *w++;
            bits -= bits >> 1 & 0x55555555UL;
            bits = (bits & 0x33333333UL) + (bits >> 2 & 0x33333333UL);
            sum += (uint32_t)(((bits + (bits >> 4)) & 0x0f0f0f0fUL) * 0x01010101UL) >> 24;
        }
        return (int32_t)(node->taps - 2 * sum);
    }
    for (uint32_t i = 0; i < node->taps; i++) {
        uint32_t x = patch[i];
        sum += row[i / 8] >> i % 8 & 1 ? x : 0 - x;
    }
    return (int32_t)sum;
}

// All filters at a position of the map; `place` is the output's pixel.
static void run_position(const ebnn_node_t *node, const uint8_t *model, const uint8_t *patch, uint8_t *out,
    uint32_t place) {
    const uint8_t *row = model + node->weights;
    for (uint32_t f = 0; f < node->filters; f++, row += 4 * node->row_words) {
        int32_t sum = sum_taps(node, patch, row), number = ebnn_number(node, model + node->numbers, f);
        if (node->output.dtype == EBNN_DTYPE_I32) {
            ((uint32_t *)(void *)out)[f] = (uint32_t)sum + (uint32_t)number;
        } else {
            ebnn_put(out, place + f, 1, sum >= number, 0);
        }
    }
}

static void run_flips(const ebnn_node_t *node, const uint8_t *flips, uint8_t *out) {
    const uint32_t stride = ebnn_pixel_stride(node->filters);
    uint32_t pixels = (uint32_t)node->output.height * node->output.width;
    for (uint32_t place = 0; pixels != 0; pixels--, place += stride) {
        for (uint32_t f = 0; f < node->filters; f++) {
            ebnn_put(out, place + f, 1, flips[f / 8] >> f % 8 & 1, 1);
        }
    }
}

// Pools where the position's hits go. The output becomes 0 row by row, because it may lie over input that was read.
static int run_node(const ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *input, const ebnn_job_t *job) {
    const ebnn_window_t *kernel = &node->kernel, *pool = &node->pool;
    const uint32_t stride = ebnn_pixel_stride(node->filters), rows = node->output.height * (uint32_t)pool->height;
    const uint32_t columns = node->output.width * (uint32_t)pool->width;
    uint8_t *arena = job->arena, *out = arena + node->out, *patch = arena + node->scratch;
    uint32_t *clean = (uint32_t *)(void *)out, pixel = 0;
    for (uint32_t y = 0, in_window = 0; y < rows; y++, in_window++) {
        if (job->poll != NULL && job->poll(job->ctx) != 0) {
            return EBNN_E_STOPPED;
        }
        if (in_window == pool->height) {
            in_window = 0;
            pixel += node->output.width;
        }
        uint8_t *end = out + 4 * words((pixel + node->output.width) * stride);
        while (node->output.dtype == EBNN_DTYPE_BITS && (uint8_t *)clean < end) {
            *clean++ = 0;
        }
        uint32_t from = y * kernel->stride_h * in->width;
        for (uint32_t x = 0, to = pixel * stride, across = 0; x < columns; x++, from += kernel->stride_w) {
            const uint8_t *taps = input;
            if (patch_size(node) != 0) {
                gather(node, in, input, from, patch);
                taps = patch;
            }
            run_position(node, job->model, taps, out, to);
            if (++across == pool->width) {
                across = 0;
                to += stride;
            }
        }
    }
    if (node->flips != 0) {
        run_flips(node, (const uint8_t *)job->model + node->flips, out);
    }
    return EBNN_OK;
}

int ebnn_run(const ebnn_t *net, const ebnn_job_t *job) {
    const ebnn_value_t *in = &net->input;
    const uint8_t *input = job->input;
    int rc = ((uintptr_t)job->model | (uintptr_t)job->arena) % 4 != 0 ? EBNN_E_ALIGN : EBNN_OK;
    if (rc == EBNN_OK && job->arena_size < net->arena_size) {
        rc = EBNN_E_SPACE;
    }
    for (uint32_t i = 0; rc == EBNN_OK && i < net->node_count; i++) {
        const ebnn_node_t *node = &net->nodes[i];
        rc = run_node(node, in, input, job);
        in = &node->output;
        input = (const uint8_t *)job->arena + node->out;
    }
    return rc;
}

int32_t ebnn_score(const ebnn_t *net, const void *arena, uint32_t index) {
    const uint8_t *scores = (const uint8_t *)arena + net->nodes[net->node_count - 1].out;
    return ((const int32_t *)(const void *)scores)[index];
}

int ebnn_argmax(const ebnn_t *net, const void *arena) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < net->classes; i++) {
        best = ebnn_score(net, arena, i) > ebnn_score(net, arena, best) ? i : best;
    }
    return (int)best;
}
