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
    uint32_t bits = (uint32_t)v->height * v->width * ebnn_pixel_bits(v);
    return v->dtype == EBNN_DTYPE_BITS ? 4 * words_of_bits(bits) : bits / 8;
}

// Whether the value has at most EBNN_MAX_BITS bits; its sizes are not 0.
static int value_fits(const ebnn_value_t *v) {
    return ebnn_pixel_bits(v) <= EBNN_MAX_BITS / ((uint32_t)v->height * v->width);
}

static int check_file(const uint8_t *p, size_t size) {
    if (size < EBNN_HEADER_SIZE) {
        return EBNN_E_TRUNCATED;
    }
    if (get32(p) != 0x4e4e4245UL) { // "EBNN"
        return EBNN_E_MAGIC;
    }
    if (p[4] != EBNN_FORMAT_MAJOR || p[5] > EBNN_FORMAT_MINOR) {
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
        && in->channels == 1 && in->dtype <= EBNN_DTYPE_U8 && (threshold != 0) == (in->dtype == EBNN_DTYPE_BITS);
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
        || net->input.dtype > EBNN_DTYPE_I16 || p[27] != 0 || !value_fits(&net->input) || blob->records_end > blob->size
        || !ebnn_preparation_fits(&net->input, net->prepare, net->threshold) || get16(p + 46) != 0) {
        return EBNN_E_HEADER;
    }
    net->input_size = ebnn_value_size(&net->input);
    return EBNN_OK;
}

static int is_known(uint8_t op) {
    switch (op) {
#define CASE(code, name) case code:
        EBNN_OP_LIST(CASE)
#undef CASE
        return 1;
        default:
            return 0;
    }
}

// Whether the record wants something that this build was made without.
static int is_left_out(const ebnn_t *net, const uint8_t *record) {
#ifdef EBNN_WITHOUT_DEPTHWISE
    if (record[0] == EBNN_OP_DEPTHWISE) {
        return 1;
    }
#endif
#ifdef EBNN_WITHOUT_INTEGERS
    if (record[3] != 0 || record[27] - 1U < EBNN_DTYPE_I32 - 1U || net->input.dtype > EBNN_DTYPE_U8) {
        return 1;
    }
#endif
    (void)net;
    return record[1] & ~EBNN_FLAGS;
}

static int any_set(const uint8_t *p, size_t count) {
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all |= p[i];
    }
    return all != 0;
}

static int has_kernel(const ebnn_node_t *node) {
    return node->op == EBNN_OP_CONV || node->op == EBNN_OP_DEPTHWISE;
}

// Whether flags, and the fields that are a kernel's or a pool's, are 0 where they have no meaning.
static int fields_fit(const ebnn_node_t *node, const uint8_t *record) {
    const int is_bits = node->output.dtype == EBNN_DTYPE_BITS, is_or = ebnn_is_or(node);
    uint32_t allowed = is_bits ? 0 : EBNN_FLAG_GAINS;
    if (has_kernel(node) && node->input <= EBNN_DTYPE_U8) {
        allowed |= node->flags & EBNN_FLAG_BORDER_NONE ? 0 : EBNN_FLAG_BORDER_PLUS;
        allowed |= node->input == EBNN_DTYPE_BITS ? EBNN_FLAG_BORDER_NONE : 0;
    }
    allowed |= node->op == EBNN_OP_POOL ? 0 : EBNN_FLAG_INT8_WEIGHTS;
    allowed |= node->op == EBNN_OP_DENSE ? 0 : EBNN_FLAG_SUM;
    allowed |= is_or ? 0 : EBNN_FLAG_WIDE;
    allowed |= is_or || !is_bits ? 0 : EBNN_FLAG_FLIPS;
    allowed |= is_bits && node->levels > 1 ? EBNN_FLAG_EXCLUSIVE : 0;
    return (node->flags & ~allowed) == 0 && (has_kernel(node) || !any_set(record + 8, 8))
        && (node->op != EBNN_OP_DENSE || !any_set(record + 16, 8)) && (!is_or || get32(record + 32) == 0);
}

// Filters, levels and shift; and the channels that they make.
static int read_channels(ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *record) {
    uint32_t filters = get16(record + 4), last = record[31];
    node->filters = (uint16_t)filters;
    if (node->output.dtype != EBNN_DTYPE_BITS) {
        node->shift = (uint8_t)last;
        if (last > EBNN_MAX_SHIFT) {
            return EBNN_E_SHAPE;
        }
        last = 1;
    }
    node->levels = (uint8_t)last;
    uint32_t channels = node->flags & EBNN_FLAG_EXCLUSIVE ? filters : last * filters;
    if (channels == 0 || channels > UINT16_MAX) {
        return EBNN_E_SHAPE;
    }
    node->output.channels = (uint16_t)channels;
    int is_of_channels = node->op == EBNN_OP_DEPTHWISE || node->op == EBNN_OP_POOL;
    if ((is_of_channels && filters % in->channels != 0) || (ebnn_is_or(node) && last * filters != in->channels)) {
        return EBNN_E_SHAPE;
    }
    return EBNN_OK;
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
    memcpy(&node->kernel, has_kernel(node) ? record + 8 : unit, sizeof(ebnn_window_t));
    memcpy(&node->pool, node->op == EBNN_OP_DENSE ? unit : record + 16, sizeof(ebnn_window_t));
    if (!window_fits(&node->kernel) || !window_fits(&node->pool)) {
        return EBNN_E_SHAPE;
    }
    int is_dense = node->op == EBNN_OP_DENSE;
    node->map_h = is_dense ? 1 : count_rows(in->height, &node->kernel);
    node->map_w = is_dense ? 1 : count_columns(in->width, &node->kernel);
    if (node->map_h == 0 || node->map_w == 0) {
        return EBNN_E_SHAPE;
    }
    ebnn_value_t *out = &node->output;
    out->height = count_rows(node->map_h, &node->pool);
    out->width = count_columns(node->map_w, &node->pool);
    return out->height != 0 && out->width != 0 && value_fits(out) ? EBNN_OK : EBNN_E_SHAPE;
}

// Whether the output fits the second input, if there is one, and the node's place: the last node makes scores.
static int ending_fits(const ebnn_node_t *node, const ebnn_value_t *second, int is_last) {
    const ebnn_value_t *out = &node->output;
    if (second != NULL
        && (out->dtype == EBNN_DTYPE_BITS || second->height != out->height || second->width != out->width
            || second->channels > out->channels)) {
        return 0;
    }
    return is_last ? out->dtype >= EBNN_DTYPE_I8 && out->height == 1 && out->width == 1 : out->dtype != EBNN_DTYPE_I32;
}

// The largest |x| of a dtype.
static uint32_t largest(uint32_t dtype) {
    return dtype == EBNN_DTYPE_BITS ? 1 : dtype == EBNN_DTYPE_U8 ? 255 : dtype == EBNN_DTYPE_I8 ? 128 : 32768;
}

// The largest |sum| after the pool, or 0 where that is more than there may be.
static uint32_t bound_sums(const ebnn_node_t *node) {
    const uint32_t factors[3] = {
        largest(node->input),
        node->flags & EBNN_FLAG_INT8_WEIGHTS ? 128U : 1U,
        node->flags & EBNN_FLAG_SUM ? (uint32_t)node->pool.height * node->pool.width : 1,
    };
    uint32_t bound = node->taps;
    for (int i = 0; i < 3; i++) {
        if (bound > EBNN_MAX_SUM / factors[i]) {
            return 0;
        }
        bound *= factors[i];
    }
    return bound;
}

static uint32_t magnitude(int32_t number) {
    return number < 0 ? 0 - (uint32_t)number : (uint32_t)number;
}

// Whether gains, offsets and the second input, of at most `more`, leave 31 bits of sums of at most `bound`. Byte by
// byte: a model need not be aligned until it runs.
static int integers_fit(const ebnn_node_t *node, const uint8_t *bytes, uint32_t bound, uint32_t more) {
    const uint8_t *numbers = bytes + node->numbers, *gains = bytes + node->gains;
    for (uint32_t f = 0; f < node->filters; f++) {
        int is_wide = node->flags & EBNN_FLAG_WIDE;
        uint32_t offset = magnitude(is_wide ? (int32_t)get32(numbers + 4 * f) : (int16_t)get16(numbers + 2 * f));
        uint32_t gain = node->flags & EBNN_FLAG_GAINS ? magnitude((int16_t)get16(gains + 2 * f)) : 1;
        if (offset > INT32_MAX - more || (gain != 0 && bound > (INT32_MAX - more - offset) / gain)) {
            return 0;
        }
    }
    return 1;
}

static uint32_t whole_words(uint32_t bytes) {
    return (bytes + 3) / 4 * 4;
}

// The parameters one behind the other: weights, thresholds or offsets, gains, flips.
static int read_params(ebnn_node_t *node, const ebnn_value_t *in, const blob_t *blob, uint32_t start) {
    const uint32_t flags = node->flags, channels = in->channels, filters = node->filters;
    uint32_t pixels = (uint32_t)node->kernel.height * node->kernel.width, rows = filters;
    pixels = node->op == EBNN_OP_DENSE ? (uint32_t)in->height * in->width : pixels;
    node->taps = pixels * channels;
    node->row_words = words_of_bits(in->dtype == EBNN_DTYPE_BITS ? pixels * ebnn_pixel_stride(channels) : node->taps);
    if (flags & EBNN_FLAG_INT8_WEIGHTS) {
        node->row_words = node->taps / 4 + (node->taps % 4 != 0);
    }
    if (node->op == EBNN_OP_DEPTHWISE || node->op == EBNN_OP_POOL) {
        node->taps = pixels;
        rows = node->op == EBNN_OP_POOL ? 0 : filters / channels;
    }
    if (start % 4 != 0 || start < blob->records_end || start > blob->size
        || (rows != 0 && node->row_words > EBNN_MAX_BITS / 32 / rows)) {
        return EBNN_E_RANGE;
    }
    const uint32_t weights = 4 * node->row_words * rows;
    const uint32_t numbers = whole_words(filters * node->levels * (flags & EBNN_FLAG_WIDE ? 4U : 2U));
    const uint32_t gains = flags & EBNN_FLAG_GAINS ? whole_words(2 * filters) : 0;
    const uint32_t flips = flags & EBNN_FLAG_FLIPS ? 4 * words_of_bits(node->output.channels) : 0;
    if (weights + numbers + gains + flips > blob->size - start) {
        return EBNN_E_RANGE;
    }
    node->weights = start;
    node->numbers = start + weights;
    node->gains = node->numbers + numbers;
    node->flips = flips != 0 ? node->gains + gains : 0;
    return EBNN_OK;
}

static int in_arena(const ebnn_t *net, uint32_t start, uint32_t length) {
    return length <= net->arena_size && start <= net->arena_size - length;
}

// Where output and scratch lie, and what they serve.
static int read_places(const ebnn_t *net, ebnn_node_t *node, const ebnn_value_t *in, const uint8_t *record) {
    // The uppermost bytes of the words are fields of their own.
    node->out = 4 * (get32(record + 24) & 0xffffffUL);
    node->scratch = 4 * (get32(record + 28) & 0xffffffUL);
    node->scratch_size = 4 * get16(record + 6);
    if (!in_arena(net, node->out, ebnn_value_size(&node->output))
        || !in_arena(net, node->scratch, node->scratch_size)) {
        return EBNN_E_ARENA;
    }
    node->word_pixels = node->input == EBNN_DTYPE_BITS && ebnn_pixel_stride(in->channels) % 32 == 0;
    int rc = ebnn_choose_kernel(node, in);
    node->kernel_index = (uint8_t)rc;
    return rc < 0 ? rc : EBNN_OK;
}

static int read_sums(ebnn_node_t *node, const ebnn_value_t *in, const ebnn_value_t *second, const blob_t *blob,
    uint32_t start) {
    int rc = read_params(node, in, blob, start);
    if (rc != EBNN_OK) {
        return rc;
    }
    uint32_t bound = bound_sums(node), more = second == NULL ? 0 : largest(second->dtype);
    int is_bits = node->output.dtype == EBNN_DTYPE_BITS;
    return bound != 0 && (is_bits || integers_fit(node, blob->bytes, bound, more)) ? EBNN_OK : EBNN_E_OVERFLOW;
}

static int read_node(const ebnn_t *net, ebnn_node_t *nodes, uint32_t index, const blob_t *blob) {
    const uint8_t *record = blob->bytes + EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * index;
    ebnn_node_t *node = &nodes[index];
    if (!is_known(record[0]) || is_left_out(net, record)) {
        return EBNN_E_OP;
    }
    memset(node, 0, sizeof(*node)); // a pool by OR reads no parameters: it must not find any
    node->op = record[0];
    node->flags = record[1];
    node->from = record[2];
    node->second = record[3];
    if (node->from > index || node->second > index) {
        return EBNN_E_LINK;
    }
    // None of them is i32, which is refused where it is made.
    const ebnn_value_t *in = ebnn_value(net, nodes, node->from), *second = NULL;
    if (node->second != 0) {
        second = ebnn_value(net, nodes, node->second);
        if (second->dtype == EBNN_DTYPE_BITS) {
            return EBNN_E_LINK;
        }
    }
    node->input = in->dtype;
    node->output.dtype = record[27];
    int rc = node->output.dtype > EBNN_DTYPE_I32 ? EBNN_E_SHAPE : read_channels(node, in, record);
    if (rc == EBNN_OK && !fields_fit(node, record)) {
        rc = EBNN_E_SHAPE;
    }
    rc = rc == EBNN_OK ? read_geometry(node, in, record) : rc;
    if (rc == EBNN_OK && !ending_fits(node, second, index + 1 == net->node_count)) {
        rc = EBNN_E_SHAPE;
    }
    if (rc == EBNN_OK && !ebnn_is_or(node)) {
        rc = read_sums(node, in, second, blob, get32(record + 32));
    }
    return rc == EBNN_OK ? read_places(net, node, in, record) : rc;
}

ebnn_rows_t ebnn_rows_under(const ebnn_node_t *node) {
    const ebnn_window_t *kernel = &node->kernel, *pool = &node->pool;
    const uint32_t height = kernel->height, stride = kernel->stride_h, above = kernel->top;
    ebnn_rows_t rows = { height, stride, above };
    if (node->kernel_index == EBNN_KERNEL_VALUES) {
        rows.count += (pool->height - 1U) * stride;
        rows.step *= pool->stride_h;
        rows.above += pool->top * stride;
    }
    return rows;
}

// What ebnn_feed keeps: the rows that the kernel of the first node spans, if it is the only one that reads the input.
static void size_window(ebnn_t *net) {
    const ebnn_value_t *in = &net->input;
    uint32_t bits = in->width * ebnn_pixel_bits(in);
    uint32_t rows = net->nodes[0].op == EBNN_OP_DENSE ? in->height : ebnn_rows_under(&net->nodes[0]).count;
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
    int rc = check_file((const uint8_t *)model, size);
    if (rc != EBNN_OK) {
        return rc;
    }
    // So that a caller allocates no more than the file can mean.
    int count = ((const uint8_t *)model)[7];
    return EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * (size_t)count > size ? EBNN_E_HEADER : count;
}

int ebnn_open(ebnn_t *net, ebnn_node_t *nodes, size_t max_nodes, const void *model, size_t size) {
    int rc = check_file((const uint8_t *)model, size);
    if (rc != EBNN_OK) {
        return rc;
    }
    blob_t blob = { (const uint8_t *)model, (uint32_t)size, 0 };
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
    const uint8_t *bytes = (const uint8_t *)model;
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
