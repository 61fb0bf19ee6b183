// One model through everything that the engine does with it, every buffer in a block of exactly its size, so that the
// address sanitizer sees the first byte that is touched outside. Whatever else is drawn derives from the model's bytes:
// the same model does the same again.

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "ebnn_core.h"

#define CHECK(what) check((what) != 0, #what, __LINE__)
#define MOST_LABELS 64

typedef struct {
    ebnn_t net;
    ebnn_job_t job;
    uint8_t *model; // a copy that may be changed
    uint8_t *input, *arena, *window, *row;
    uint32_t random;
    uint32_t step, runs; // of drive_changes
} drive_t;

uint32_t drive_runs;

static void check(int holds, const char *what, int line) {
    if (!holds) {
        fprintf(stderr, "harness.c:%d: not true: %s\n", line, what);
        abort();
    }
}

// Nothing may rely on zeros, and the same model has to find the same.
static void *block(size_t size) {
    void *made = malloc(size);
    CHECK(made != NULL || size == 0);
    return memset(made, 0xa5, size);
}

static uint32_t draw(drive_t *drive) {
    uint32_t x = drive->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return drive->random = x;
}

// --- what has to hold once a model is open, computed in 64 bits ---

static uint64_t value_bits(const ebnn_value_t *value) {
    uint64_t bits = 1, pixels = (uint64_t)value->height * value->width;
    while (value->dtype == EBNN_DTYPE_BITS && bits < value->channels && bits < 32) {
        bits *= 2;
    }
    if (value->dtype != EBNN_DTYPE_BITS) {
        const uint8_t sizes[] = { 1, 8, 8, 16, 32 };
        bits = sizes[value->dtype] * (uint64_t)value->channels;
    } else if (bits < value->channels) {
        bits = ((uint64_t)value->channels + 31) / 32 * 32;
    }
    return pixels * bits;
}

static const ebnn_value_t *read_by(const ebnn_t *net, uint32_t index) {
    return ebnn_value(net, net->nodes, net->nodes[index].from);
}

static int has_kernel(const ebnn_node_t *node) {
    return node->op == EBNN_OP_CONV || node->op == EBNN_OP_DEPTHWISE;
}

static uint64_t pixels_of(const ebnn_node_t *node, const ebnn_value_t *in) {
    int is_dense = node->op == EBNN_OP_DENSE;
    return is_dense ? (uint64_t)in->height * in->width : (uint64_t)node->kernel.height * node->kernel.width;
}

static uint32_t rows_of(const ebnn_node_t *node, const ebnn_value_t *in) {
    return node->op == EBNN_OP_POOL ? 0 : node->filters / (node->op == EBNN_OP_DEPTHWISE ? in->channels : 1U);
}

// No window begins behind the padding, none is all padding.
static void check_windows(const ebnn_window_t *window, uint32_t size_h, uint32_t size_w, uint32_t h, uint32_t w) {
    CHECK(window->height && window->width && window->stride_h && window->stride_w && h && w && size_h && size_w);
    CHECK(window->top < window->height && window->bottom < window->height);
    CHECK(window->left < window->width && window->right < window->width);
    CHECK((uint64_t)(h - 1) * window->stride_h + window->height <= (uint64_t)size_h + window->top + window->bottom);
    CHECK((uint64_t)(w - 1) * window->stride_w + window->width <= (uint64_t)size_w + window->left + window->right);
}

static void check_params(const ebnn_t *net, const ebnn_node_t *node, const ebnn_value_t *in) {
    uint64_t pixels = pixels_of(node, in), gaps = in->channels;
    int is_of_all = node->op == EBNN_OP_CONV || node->op == EBNN_OP_DENSE;
    if (node->flags & EBNN_FLAG_INT8_WEIGHTS) {
        gaps *= 8;
    } else if (in->dtype == EBNN_DTYPE_BITS) {
        gaps = ebnn_pixel_stride(in->channels);
    }
    CHECK(node->taps == pixels * (is_of_all ? in->channels : 1U) && (uint64_t)32 * node->row_words >= pixels * gaps);
    uint64_t rows = (uint64_t)4 * node->row_words * rows_of(node, in);
    uint64_t numbers = (uint64_t)(node->flags & EBNN_FLAG_WIDE ? 4 : 2) * node->filters * node->levels;
    uint64_t gains = node->flags & EBNN_FLAG_GAINS ? 2U * node->filters : 0;
    uint64_t flips = node->flags & EBNN_FLAG_FLIPS ? (node->output.channels + 31U) / 32 * 4 : 0;
    CHECK((node->weights | node->numbers | node->gains | node->flips) % 4 == 0);
    CHECK(node->weights >= EBNN_HEADER_SIZE + EBNN_RECORD_SIZE * net->node_count);
    CHECK(node->numbers >= node->weights + rows && node->gains >= node->numbers + numbers);
    CHECK(node->gains + gains <= net->size && (flips != 0) == (node->flips != 0));
    CHECK(flips == 0 || (node->flips >= node->gains + gains && node->flips + flips <= net->size));
}

static void check_second(const ebnn_t *net, const ebnn_node_t *node, uint32_t index) {
    CHECK(node->second <= index);
    const ebnn_value_t *second = ebnn_value(net, net->nodes, node->second), *out = &node->output;
    CHECK(second->dtype != EBNN_DTYPE_BITS && second->dtype != EBNN_DTYPE_I32 && out->dtype != EBNN_DTYPE_BITS);
    CHECK(second->height == out->height && second->width == out->width && second->channels <= out->channels);
}

static void check_net(const ebnn_t *net) {
    CHECK(net->node_count >= 1 && net->arena_size <= EBNN_MAX_ARENA);
    CHECK(net->input_size >= (value_bits(&net->input) + 7) / 8 && value_bits(&net->input) <= EBNN_MAX_BITS);
    CHECK(net->window_rows >= 1 && net->window_rows <= net->input.height && net->window_size % 4 == 0);
    CHECK((uint64_t)net->row_size * net->window_rows < (uint64_t)net->window_size + net->window_rows);
    CHECK((uint64_t)8 * net->row_size * net->input.height >= value_bits(&net->input));
    for (uint32_t i = 0; i < net->node_count; i++) {
        const ebnn_node_t *node = &net->nodes[i];
        CHECK(node->from <= i);
        const ebnn_value_t *in = read_by(net, i), *out = &node->output;
        CHECK(i + 1 == net->node_count ? out->dtype >= EBNN_DTYPE_I8 : out->dtype != EBNN_DTYPE_I32);
        CHECK(node->levels >= 1 && node->shift <= EBNN_MAX_SHIFT);
        CHECK(node->out % 4 == 0 && (value_bits(out) + 31) / 32 * 4 + node->out <= net->arena_size);
        CHECK(node->scratch % 4 == 0 && (uint64_t)node->scratch + node->scratch_size <= net->arena_size);
        check_windows(&node->pool, node->map_h, node->map_w, out->height, out->width);
        if (!ebnn_is_or(node)) {
            check_params(net, node, in);
        }
        if (node->second != 0) {
            check_second(net, node, i);
        }
        if (has_kernel(node)) {
            check_windows(&node->kernel, in->height, in->width, node->map_h, node->map_w);
        }
    }
    CHECK(net->classes == net->nodes[net->node_count - 1].output.channels);
}

// --- what a run costs ---

static uint64_t node_work(const ebnn_t *net, uint32_t index) {
    const ebnn_node_t *node = &net->nodes[index];
    const ebnn_value_t *in = read_by(net, index), *out = &node->output;
    uint64_t words = (out->channels + 31) / 32, positions = (uint64_t)node->map_h * node->map_w;
    uint64_t filter = in->dtype == EBNN_DTYPE_BITS ? 4U * node->row_words : node->taps / 2;
    if (node->flags & EBNN_FLAG_INT8_WEIGHTS || node->op == EBNN_OP_DEPTHWISE) {
        filter = 4U * node->taps;
    }
    if (node->kernel_index == EBNN_KERNEL_VALUES) {
        positions = (uint64_t)out->height * out->width * node->pool.height * node->pool.width;
    }
    uint64_t window = node->pool.width + (uint64_t)node->pool.height / node->pool.stride_h + 1;
    uint64_t sums = positions * (20 + (node->filters + 1U) * (filter + 2) + node->taps);
    return sums + node->map_h * (uint64_t)out->width * window * words * 4 + value_bits(out) / 8;
}

static int is_quick(const ebnn_t *net, uint64_t most_work) {
    uint64_t work = value_bits(&net->input) + (uint64_t)10 * net->node_count;
    work += (net->arena_size + (uint64_t)net->window_size) / 8;
    for (uint32_t i = 0; i < net->node_count && work <= most_work; i++) {
        work += node_work(net, i);
    }
    return work <= most_work;
}

// --- running ---

static int stop(void *ctx) {
    return --*(int *)ctx < 0;
}

// The input row by row.
static int run_rows(const drive_t *drive, const ebnn_job_t *from) {
    const ebnn_t *net = &drive->net;
    ebnn_feed_t feed = { .window = drive->window };
    ebnn_job_t job = *from;
    int rc = EBNN_OK;
    for (uint32_t y = 0, bits = (uint32_t)(value_bits(&net->input) / net->input.height); y < net->input.height; y++) {
        memset(drive->row, 0, net->row_size);
        for (uint32_t i = 0, place = y * bits; bits % 8 != 0 && i < bits; i++, place++) {
            drive->row[i / 8] |= (uint8_t)((drive->input[place / 8] >> place % 8 & 1) << i % 8);
        }
        if (bits % 8 == 0) {
            memcpy(drive->row, drive->input + y * (bits / 8), bits / 8);
        }
        job.input = drive->row;
        rc = ebnn_feed(net, &job, &feed);
        if (rc < 0) {
            return rc;
        }
        CHECK(rc == (int)(net->input.height - 1 - y));
    }
    return rc;
}

static void read_labels(const drive_t *drive) {
    uint32_t most = drive->net.classes < MOST_LABELS ? drive->net.classes : MOST_LABELS;
    for (uint32_t i = 0; i <= most; i++) {
        size_t length = 0;
        const char *label = ebnn_label(&drive->net, drive->model, i, &length);
        CHECK(i < drive->net.classes || label == NULL);
        CHECK(label == NULL || ebnn_crc32(0, label, length) <= UINT32_MAX);
    }
}

static uint32_t value_bytes(const ebnn_value_t *value) {
    return (uint32_t)((value_bits(value) + 31) / 32 * 4);
}

static int lie_apart(const ebnn_t *net) {
    for (uint32_t i = 0; i < net->node_count; i++) {
        const ebnn_node_t *a = &net->nodes[i];
        uint32_t out = a->out, end = out + value_bytes(&a->output);
        for (uint32_t k = 0; k < net->node_count; k++) {
            const ebnn_node_t *b = &net->nodes[k];
            int is_over = k != i && b->out < end && out < b->out + value_bytes(&b->output);
            if (is_over || (b->scratch < end && out < b->scratch + b->scratch_size)) {
                return 0;
            }
        }
    }
    return 1;
}

// Which bits of a word of a row of weights belong to a tap.
static uint32_t tap_bits(const ebnn_node_t *node, const ebnn_value_t *in, uint32_t word) {
    int is_gappy = in->dtype == EBNN_DTYPE_BITS && !(node->flags & EBNN_FLAG_INT8_WEIGHTS);
    uint32_t pixels = (uint32_t)pixels_of(node, in), channels = in->channels, bits = 0;
    uint32_t stride = is_gappy ? ebnn_pixel_stride(channels) : channels;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t place = 32 * word + i;
        place = node->flags & EBNN_FLAG_INT8_WEIGHTS ? place / 8 : place;
        bits |= (uint32_t)(place / stride < pixels && place % stride < channels) << i;
    }
    return bits;
}

static int has_clean_weights(const drive_t *drive, uint32_t index) {
    const ebnn_node_t *node = &drive->net.nodes[index];
    uint32_t found = 0;
    const ebnn_value_t *in = read_by(&drive->net, index);
    const uint32_t rows = rows_of(node, in);
    for (uint32_t word = 0; rows != 0 && word < node->row_words; word++) {
        uint32_t none = ~tap_bits(node, in, word);
        for (uint32_t row = 0; row < rows && none != 0; row++) {
            found |= ebnn_load(drive->model + node->weights + 4 * (node->row_words * row + word)) & none;
        }
    }
    return found == 0;
}

// Whether no output or scratch lies over another one and the bits of no tap are 0: only then the scores are specified.
static int is_tidy(const drive_t *drive) {
    int tidy = lie_apart(&drive->net);
    for (uint32_t i = 0; i < drive->net.node_count && tidy; i++) {
        tidy = has_clean_weights(drive, i);
    }
    return tidy;
}

// Input by rows, polls that stop, memory that is too small or misaligned.
static void run_otherwise(drive_t *drive, uint32_t crc) {
    int polls = (int)(draw(drive) % 8);
    ebnn_job_t job = drive->job;
    CHECK(run_rows(drive, &job) == EBNN_OK);
    CHECK(!is_tidy(drive) || ebnn_scores_crc(&drive->net, drive->arena) == crc);
    job.poll = stop;
    job.ctx = &polls;
    int rc = polls & 1 ? run_rows(drive, &job) : ebnn_run(&drive->net, &job);
    CHECK(rc == EBNN_E_STOPPED || (rc == EBNN_OK && polls >= 0));
    job.arena_size--;
    CHECK(ebnn_run(&drive->net, &job) == EBNN_E_SPACE);
    job.arena = drive->arena + 1;
    CHECK(ebnn_run(&drive->net, &job) == EBNN_E_ALIGN);
    ebnn_feed_t feed = { .window = drive->window + 1 };
    CHECK(ebnn_feed(&drive->net, &drive->job, &feed) == EBNN_E_ALIGN);
}

// A model whose bytes change while it is open, on an input whose unused bits are set, too.
static void run_changed(drive_t *drive) {
    for (uint32_t i = 0; i < drive->net.input_size; i++) {
        drive->input[i] = (uint8_t)draw(drive);
    }
    for (uint32_t count = 1 + draw(drive) % 32; count != 0; count--) {
        drive->model[draw(drive) % drive->net.size] = (uint8_t)draw(drive);
    }
    CHECK(ebnn_run(&drive->net, &drive->job) == EBNN_OK);
    CHECK(run_rows(drive, &drive->job) == EBNN_OK);
    read_labels(drive);
}

static void run_all(drive_t *drive) {
    const ebnn_t *net = &drive->net;
    uint32_t kind = draw(drive);
    ebnn_selftest_input(net, drive->input);
    CHECK(ebnn_run(net, &drive->job) == EBNN_OK);
    CHECK((uint32_t)ebnn_argmax(net, drive->arena) < net->classes);
    CHECK((ebnn_margin(net, drive->arena) == UINT32_MAX) >= (net->classes == 1));
    uint32_t crc = ebnn_scores_crc(net, drive->arena);
    if (kind & 1) {
        run_otherwise(drive, crc);
    }
    if (kind & 2) {
        run_changed(drive);
    }
}

// The memory of a run, and something that is done with it.
static void with_memory(drive_t *drive, void (*use)(drive_t *drive)) {
    const ebnn_t *net = &drive->net;
    uint32_t offset = draw(drive) % 4;
    uint8_t *input = block(net->input_size + offset);
    drive->input = input + offset;
    drive->arena = block(net->arena_size);
    drive->window = block(net->window_size);
    drive->row = block(net->row_size);
    drive->job = (ebnn_job_t) { .model = drive->model, .arena = drive->arena, .arena_size = net->arena_size };
    drive->job.input = drive->input;
    use(drive);
    free(drive->row);
    free(drive->window);
    free(drive->arena);
    free(input);
}

int drive_model(const uint8_t *data, size_t size, uint64_t most_work) {
    int count = ebnn_node_count(data, size);
    drive_t drive = { .random = 1 };
    if (count < 0) {
        int same = ebnn_open(&drive.net, NULL, 0, data, size);
        CHECK(same == count && ebnn_error_text(count)[0] != '\0');
        return count;
    }
    ebnn_node_t *nodes = block((size_t)count * sizeof(ebnn_node_t));
    int rc = ebnn_open(&drive.net, nodes, (size_t)count, data, size);
    CHECK(rc <= EBNN_OK && rc >= EBNN_E_LABELS && ebnn_error_text(rc)[0] != '\0');
    if (rc == EBNN_OK) {
        check_net(&drive.net);
        drive.random = ebnn_crc32(1, data, size) | 1;
        drive.model = block(size);
        memcpy(drive.model, data, size);
        read_labels(&drive);
        if (is_quick(&drive.net, most_work)) {
            with_memory(&drive, run_all);
            drive_runs++;
        }
        free(drive.model);
        CHECK(draw(&drive) % 4 != 0 || ebnn_open(&drive.net, nodes, (size_t)count - 1, data, size) == EBNN_E_NODES);
    }
    free(nodes);
    return rc;
}

static void change_bytes(drive_t *drive) {
    ebnn_selftest_input(&drive->net, drive->input);
    for (uint32_t place = 0; place < drive->net.size; place++) {
        for (uint32_t change = 1 + place % drive->step; change < 256; change += drive->step) {
            drive->model[place] ^= (uint8_t)change;
            CHECK(ebnn_run(&drive->net, &drive->job) == EBNN_OK);
            CHECK(run_rows(drive, &drive->job) == EBNN_OK);
            read_labels(drive);
            drive->model[place] ^= (uint8_t)change;
            drive->runs++;
        }
    }
}

uint32_t drive_changes(const uint8_t *data, size_t size, uint32_t step) {
    drive_t drive = { .random = 1, .step = step };
    int count = ebnn_node_count(data, size);
    CHECK(count > 0);
    ebnn_node_t *nodes = block((size_t)count * sizeof(ebnn_node_t));
    drive.model = block(size);
    memcpy(drive.model, data, size);
    CHECK(ebnn_open(&drive.net, nodes, (size_t)count, drive.model, size) == EBNN_OK);
    with_memory(&drive, change_bytes);
    free(drive.model);
    free(nodes);
    return drive.runs;
}
