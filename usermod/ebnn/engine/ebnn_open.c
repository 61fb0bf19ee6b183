// Reading a model: every check of docs/SPEC.md, section 7, in its order.

#include "ebnn_core.h"

typedef struct {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t records_end;
} blob_t;

static uint32_t get16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p) {
    return get16(p) | get16(p + 2) << 16;
}

static uint32_t words_of_bits(uint32_t bits) {
    return bits / 32 + (bits % 32 != 0);
}

uint32_t ebnn_value_size(const ebnn_value_t *v) {
    uint32_t pixels = (uint32_t)v->height * v->width;
    switch (v->dtype) {
        case EBNN_DTYPE_U8:
            return pixels * v->channels;
        case EBNN_DTYPE_I32:
            return 4 * (uint32_t)v->channels;
        default:
            return 4 * words_of_bits(pixels * ebnn_pixel_stride(v->channels));
    }
}

// Whether the value has at most EBNN_MAX_BITS bits; its sizes are not 0.
static int value_fits(const ebnn_value_t *v) {
    uint32_t pixels = (uint32_t)v->height * v->width;
    uint32_t bits = v->dtype == EBNN_DTYPE_BITS ? ebnn_pixel_stride(v->channels) : 8 * (uint32_t)v->channels;
    return bits <= EBNN_MAX_BITS / pixels;
}

static int check_file(const uint8_t *p, size_t size) {
    if (size < EBNN_HEADER_SIZE) {
        return EBNN_E_TRUNCATED;
    }
    if (get32(p) != 0x4e4e4245UL) { // "EBNN"
        return EBNN_E_MAGIC;
    }
    if (p[4] != EBNN_FORMAT_MAJOR || p[5] != EBNN_FORMAT_MINOR) {
        return EBNN_E_VERSION;
    }
    uint32_t total = get32(p + 8);
    if (total != size) {
        return total > size ? EBNN_E_TRUNCATED : EBNN_E_SIZE;
    }
    if (get32(p + 12) != ebnn_crc32(ebnn_crc32(0, p, 12), p + 16, size - 16)) {
        return EBNN_E_CRC;
    }
    return EBNN_OK;
}

int ebnn_preparation_fits(const ebnn_value_t *in, uint8_t prepare, uint8_t threshold) {
    const uint8_t both = EBNN_PREPARE_AVERAGE | EBNN_PREPARE_NEAREST;
    if (prepare == 0) {
        return threshold == 0;
    }
    return (prepare & EBNN_PREPARE_RECORDED) && prepare <= EBNN_PREPARE_KNOWN && (prepare & both) != both
        && in->channels == 1 && (threshold != 0) == (in->dtype == EBNN_DTYPE_BITS);
}

static int read_header(ebnn_t *net, blob_t *blob) {
    const uint8_t *p = blob->bytes;
    net->node_count = p[7];
    net->size = blob->size;
    net->arena_size = get32(p + 16);
    net->input.height = (uint16_t)get16(p + 20);
    net->input.width = (uint16_t)get16(p + 22);
    net->input.channels = (uint16_t)get16(p + 24);
    net->input.dtype = p[26];
    net->labels = get32(p + 28);
    net->selftest_seed = get32(p + 32);
    net->selftest_crc = get32(p + 36);
    net->margin = get32(p + 40);
    net->prepare = p[44];
    net->threshold = p[45];
    blob->records_end = EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * net->node_count;
    if (p[6] != EBNN_RECORD_SIZE || net->node_count == 0 || net->arena_size % 4 != 0 || net->arena_size > EBNN_MAX_ARENA
        || net->selftest_seed == 0 || net->input.height == 0 || net->input.width == 0 || net->input.channels == 0
        || net->input.dtype > EBNN_DTYPE_U8 || p[27] != 0 || !value_fits(&net->input) || blob->records_end > blob->size
        || !ebnn_preparation_fits(&net->input, net->prepare, net->threshold) || get16(p + 46) != 0) {
        return EBNN_E_HEADER;
    }
    net->input_size = ebnn_value_size(&net->input);
    return EBNN_OK;
}

typedef struct {
    uint8_t code, source, input, output;
} op_t;

static const op_t op_table[] = {
#define ROW(code, name, source, input, output) { code, EBNN_SOURCE_##source, EBNN_DTYPE_##input, EBNN_DTYPE_##output },
    EBNN_OP_LIST(ROW)
#undef ROW
};

static const op_t *find_op(uint8_t code) {
    for (size_t i = 0; i < sizeof(op_table) / sizeof(op_table[0]); i++) {
        if (op_table[i].code == code) {
            return &op_table[i];
        }
    }
    return NULL;
}

static int any_set(const uint8_t *p, size_t count) {
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all |= p[i];
    }
    return all != 0;
}

// Fields and flags that the operator does not use are 0, and filters are there where it wants them.
static int fields_fit(const op_t *op, const uint8_t *record) {
    uint8_t allowed = EBNN_FLAGS_KNOWN;
    if (op->source == EBNN_SOURCE_POOL) {
        allowed = 0;
    } else if (op->source == EBNN_SOURCE_DENSE) {
        allowed &= (uint8_t)~EBNN_FLAG_BORDER_PLUS;
    }
    if (op->output == EBNN_DTYPE_I32) {
        allowed &= (uint8_t)~EBNN_FLAG_FLIPS;
    }
    uint32_t filters = get16(record + 4);
    int is_pool = op->source == EBNN_SOURCE_POOL;
    return (record[1] & ~allowed) == 0 && (op->source == EBNN_SOURCE_CONV || !any_set(record + 8, 8))
        && (op->source != EBNN_SOURCE_DENSE || !any_set(record + 16, 8))
        && (is_pool ? filters == 0 && get32(record + 32) == 0 : filters != 0);
}

static int window_fits(const ebnn_window_t *w) {
    return w->stride_h != 0 && w->stride_w != 0 && w->top < w->height && w->bottom < w->height && w->left < w->width
        && w->right < w->width;
}

// Number of window positions along an axis, 0 where none fits or there are too many.
static uint16_t count_windows(uint32_t size, uint32_t pad, uint32_t window, uint32_t stride) {
    if (size + pad < window) {
        return 0;
    }
    uint32_t count = (size + pad - window) / stride + 1;
    return (uint16_t)(count > UINT16_MAX ? 0 : count);
}

static uint16_t count_rows(uint32_t size, const ebnn_window_t *w) {
    return count_windows(size, (uint32_t)w->top + w->bottom, w->height, w->stride_h);
}

static uint16_t count_columns(uint32_t size, const ebnn_window_t *w) {
    return count_windows(size, (uint32_t)w->left + w->right, w->width, w->stride_w);
}

// Geometry: kernel and pool windows, the map before the pool, the output.
static int read_geometry(ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *record) {
    static const uint8_t unit[8] = { 1, 1, 1, 1, 0, 0, 0, 0 };
    // The fields of both lie as in the record.
    memcpy(&node->kernel, node->source == EBNN_SOURCE_CONV ? record + 8 : unit, sizeof(ebnn_window_t));
    memcpy(&node->pool, node->source == EBNN_SOURCE_DENSE ? unit : record + 16, sizeof(ebnn_window_t));
    if (!window_fits(&node->kernel) || !window_fits(&node->pool)) {
        return EBNN_E_SHAPE;
    }
    int is_dense = node->source == EBNN_SOURCE_DENSE;
    node->map_h = is_dense ? 1 : count_rows(in->height, &node->kernel);
    node->map_w = is_dense ? 1 : count_columns(in->width, &node->kernel);
    if (node->map_h == 0 || node->map_w == 0) {
        return EBNN_E_SHAPE;
    }
    ebnn_value_t *out = &node->output;
    out->height = count_rows(node->map_h, &node->pool);
    out->width = count_columns(node->map_w, &node->pool);
    out->channels = node->source == EBNN_SOURCE_POOL ? in->channels : node->filters;
    return out->height != 0 && out->width != 0 && value_fits(out) ? EBNN_OK : EBNN_E_SHAPE;
}

// No offset may push a score past 31 bits.
static int offsets_fit(const ebnn_node_t *node, const uint8_t *numbers) {
    uint32_t bound = node->taps * (node->input == EBNN_DTYPE_U8 ? 255 : 1);
    for (uint32_t f = 0; f < node->filters; f++) {
        // Byte by byte: a model need not be aligned until it runs.
        int is_wide = node->flags & EBNN_FLAG_WIDE;
        int32_t offset = is_wide ? (int32_t)get32(numbers + 4 * f) : (int16_t)get16(numbers + 2 * f);
        uint32_t size = offset < 0 ? 0 - (uint32_t)offset : (uint32_t)offset;
        if (size + bound > INT32_MAX) {
            return 0;
        }
    }
    return 1;
}

// Weights, thresholds or offsets, flips.
static int read_params(ebnn_node_t *node, const ebnn_value_t *in, const blob_t *blob, uint32_t start) {
    int is_dense = node->source == EBNN_SOURCE_DENSE;
    uint32_t pixels = is_dense ? (uint32_t)in->height * in->width : (uint32_t)node->kernel.height * node->kernel.width;
    int is_bits = in->dtype == EBNN_DTYPE_BITS;
    node->taps = pixels * in->channels;
    node->row_words = words_of_bits(pixels * (is_bits ? ebnn_pixel_stride(in->channels) : in->channels));
    if (start % 4 != 0 || start < blob->records_end || start > blob->size
        || node->row_words > EBNN_MAX_BITS / 32 / node->filters) {
        return EBNN_E_RANGE;
    }
    uint32_t numbers = (node->filters * (node->flags & EBNN_FLAG_WIDE ? 4U : 2U) + 3) / 4 * 4;
    uint32_t flips = node->flags & EBNN_FLAG_FLIPS ? 4 * words_of_bits(node->filters) : 0;
    uint32_t rows = 4 * node->row_words * node->filters;
    if (rows + numbers + flips > blob->size - start) {
        return EBNN_E_RANGE;
    }
    node->weights = start;
    node->numbers = start + rows;
    node->flips = flips ? start + rows + numbers : 0;
    if (!is_bits && node->taps > EBNN_MAX_U8_TAPS) {
        return EBNN_E_OVERFLOW;
    }
    if (node->output.dtype == EBNN_DTYPE_I32 && !offsets_fit(node, blob->bytes + node->numbers)) {
        return EBNN_E_OVERFLOW;
    }
    return EBNN_OK;
}

static int in_arena(const ebnn_t *net, uint32_t start, uint32_t length) {
    return start % 4 == 0 && length <= net->arena_size && start <= net->arena_size - length;
}

static int read_node(const ebnn_t *net, ebnn_node_t *nodes, uint32_t index, const blob_t *blob) {
    const uint8_t *record = blob->bytes + EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * index;
    ebnn_node_t *node = &nodes[index];
    const op_t *op = find_op(record[0]);
    if (op == NULL) {
        return EBNN_E_OP;
    }
    *node = (ebnn_node_t) { 0 }; // a pool node reads no parameters: it must not find any
    node->from = record[2];
    if (node->from > index || record[3] != 0) {
        return EBNN_E_LINK;
    }
    const ebnn_value_t *in = ebnn_value(net, nodes, node->from);
    if (in->dtype != op->input) {
        return EBNN_E_LINK;
    }
    node->source = op->source;
    node->input = op->input;
    node->output.dtype = op->output;
    node->flags = record[1];
    node->filters = (uint16_t)get16(record + 4);
    if (!fields_fit(op, record) || (index + 1 == net->node_count) != (op->output == EBNN_DTYPE_I32)) {
        return EBNN_E_SHAPE;
    }
    int rc = read_geometry(node, in, record);
    if (rc == EBNN_OK && op->source != EBNN_SOURCE_POOL) {
        rc = read_params(node, in, blob, get32(record + 32));
    }
    if (rc != EBNN_OK) {
        return rc;
    }
    node->out = get32(record + 24);
    node->scratch = get32(record + 28);
    node->scratch_size = 4 * get16(record + 6);
    if (!in_arena(net, node->out, ebnn_value_size(&node->output))
        || !in_arena(net, node->scratch, node->scratch_size)) {
        return EBNN_E_ARENA;
    }
    node->word_pixels = op->input == EBNN_DTYPE_BITS && ebnn_pixel_stride(in->channels) % 32 == 0;
    rc = ebnn_choose_kernel(node);
    node->kernel_index = (uint8_t)rc;
    return rc < 0 ? rc : EBNN_OK;
}

// What ebnn_feed keeps: the rows that the kernel of the first node spans, if it is the only one that reads the input.
static void size_window(ebnn_t *net) {
    const ebnn_value_t *in = &net->input;
    uint32_t bits = in->width * (in->dtype == EBNN_DTYPE_BITS ? ebnn_pixel_stride(in->channels) : 8U * in->channels);
    uint32_t rows = net->nodes[0].source == EBNN_SOURCE_DENSE ? in->height : net->nodes[0].kernel.height;
    for (uint32_t i = 1; i < net->node_count; i++) {
        rows = net->nodes[i].from == 0 ? in->height : rows;
    }
    net->row_size = (bits + 7) / 8;
    net->window_rows = (uint16_t)(rows < in->height ? rows : in->height);
    // A row of the window begins with a word; the whole input is in one piece.
    net->window_size = rows < in->height ? 4 * words_of_bits(bits) * rows : (net->input_size + 3) / 4 * 4;
}

// The offset behind a label, or 0 where it leaves the file.
static uint32_t next_label(const uint8_t *bytes, uint32_t size, uint32_t place) {
    if (place >= size || bytes[place] > size - place - 1) {
        return 0;
    }
    return place + 1 + bytes[place];
}

static int check_labels(const ebnn_t *net, const blob_t *blob) {
    uint32_t place = net->labels;
    if (place == 0) {
        return EBNN_OK;
    }
    if (place < blob->records_end) {
        return EBNN_E_LABELS;
    }
    for (uint32_t i = 0; i < net->classes; i++) {
        place = next_label(blob->bytes, blob->size, place);
        if (place == 0) {
            return EBNN_E_LABELS;
        }
    }
    return EBNN_OK;
}

int ebnn_node_count(const void *model, size_t size) {
    int rc = check_file(model, size);
    if (rc != EBNN_OK) {
        return rc;
    }
    // So that a caller allocates no more than the file can mean.
    int count = ((const uint8_t *)model)[7];
    return EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * (size_t)count > size ? EBNN_E_HEADER : count;
}

int ebnn_open(ebnn_t *net, ebnn_node_t *nodes, size_t max_nodes, const void *model, size_t size) {
    int rc = check_file(model, size);
    if (rc != EBNN_OK) {
        return rc;
    }
    blob_t blob = { model, (uint32_t)size, 0 };
    rc = read_header(net, &blob);
    if (rc == EBNN_OK && net->node_count > max_nodes) {
        rc = EBNN_E_NODES;
    }
    net->nodes = nodes;
    for (uint32_t i = 0; rc == EBNN_OK && i < net->node_count; i++) {
        rc = read_node(net, nodes, i, &blob);
    }
    if (rc != EBNN_OK) {
        return rc;
    }
    net->classes = nodes[net->node_count - 1].output.channels;
    size_window(net);
    return check_labels(net, &blob);
}

const char *ebnn_label(const ebnn_t *net, const void *model, uint32_t index, size_t *length) {
    const uint8_t *bytes = model;
    uint32_t place = net->labels;
    // Lengths are read again here, so they are checked again.
    for (uint32_t i = 0; place != 0 && i < index; i++) {
        place = next_label(bytes, net->size, place);
    }
    if (place == 0 || index >= net->classes || next_label(bytes, net->size, place) == 0) {
        return NULL;
    }
    *length = bytes[place];
    return (const char *)bytes + place + 1;
}

const char *ebnn_error_text(int error) {
    switch (error) {
#define CASE(name, code, text) \
    case name: \
        return text;
        EBNN_ERROR_LIST(CASE)
#undef CASE
        default:
            return "no error";
    }
}
