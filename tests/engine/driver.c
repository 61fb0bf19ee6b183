// Runs cases through the C engine with every buffer in a block of exactly its size, so that the address sanitizer
// sees the first byte that is touched outside. Reads what vectors.pack_cases writes: u32 model size, model,
// u32 inputs, u32 input size, inputs; again and again. Prints a line for each thing that a test compares:
//
//     case 0 error -5
//     case 1 run 0 nodes 0123abcd 89abcdef scores 1 -2 best 0
//     case 1 selftest 1 labels [61][62]

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebnn.h"

#define CHECK(what) check((what) != 0, #what, __LINE__)

// A block of `size` bytes that ends with its allocation and starts `offset` bytes behind an aligned address.
typedef struct {
    uint8_t *base, *bytes;
    size_t size;
} block_t;

typedef struct {
    ebnn_t net;
    block_t model, nodes, arena;
    uint32_t number, inputs, input_size;
} case_t;

typedef struct {
    const case_t *of;
    uint32_t crc[256];
    uint32_t count;
} trace_t;

static void check(int holds, const char *what, int line) {
    if (!holds) {
        printf("driver.c:%d: not true: %s\n", line, what);
        fflush(stdout);
        exit(1);
    }
}

static block_t block_new(size_t size, size_t offset) {
    uint8_t *base = malloc(size + offset);
    CHECK(base != NULL || size + offset == 0);
    memset(base, 0xa5, size + offset); // nothing may rely on zeros
    block_t block = { base, base + offset, size };
    return block;
}

static block_t block_copy(const block_t *from, size_t offset) {
    block_t block = block_new(from->size, offset);
    memcpy(block.bytes, from->bytes, from->size);
    return block;
}

static int read_block(block_t *block, size_t size) {
    *block = block_new(size, 0);
    return fread(block->bytes, 1, size, stdin) == size;
}

static int read_u32(uint32_t *number) {
    uint8_t b[4];
    if (fread(b, 1, 4, stdin) != 4) {
        return 0;
    }
    *number = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return 1;
}

// Elements of memory, in the machine's order, become those of files, or back.
static void swap_elements(uint8_t *bytes, size_t size, uint8_t dtype) {
    const uint16_t one = 1;
    const size_t width = dtype == EBNN_DTYPE_I16 ? 2 : dtype == EBNN_DTYPE_I32 ? 4 : 1;
    for (size_t i = 0; *(const uint8_t *)&one == 0 && i + width <= size; i += width) {
        for (size_t k = 0; k < width / 2; k++) {
            uint8_t byte = bytes[i + k];
            bytes[i + k] = bytes[i + width - 1 - k];
            bytes[i + width - 1 - k] = byte;
        }
    }
}

static int note(void *ctx, uint32_t node, const void *data, uint32_t size) {
    trace_t *trace = ctx;
    CHECK(node == trace->count && node < 256);
    block_t copy = block_new(size, 0);
    memcpy(copy.bytes, data, size);
    swap_elements(copy.bytes, size, trace->of->net.nodes[node].output.dtype);
    trace->crc[trace->count++] = ebnn_crc32(0, copy.bytes, size);
    free(copy.base);
    return 0;
}

static int stop(void *ctx) {
    return --*(int *)ctx < 0;
}

static int go_on(void *ctx) {
    (void)ctx;
    return 0;
}

// What a poll runs may write to the arena: then the scores are spoiled, and nothing else.
static int spoil(void *ctx) {
    const case_t *c = ctx;
    static unsigned char pattern;
    memset(c->arena.bytes, pattern, c->arena.size);
    pattern = (unsigned char)(pattern * 5 + 0x7f);
    return 0;
}

static void run_spoiled(const case_t *c) {
    block_t input = block_new(c->net.input_size, 2);
    ebnn_job_t job = { .model = c->model.bytes,
        .arena = c->arena.bytes,
        .arena_size = c->arena.size,
        .input = input.bytes,
        .poll = spoil,
        .ctx = (void *)(uintptr_t)c };
    for (int time = 0; time < 4; time++) {
        CHECK(ebnn_run(&c->net, &job) == EBNN_OK);
    }
    free(input.base);
}

static int run(const case_t *c, const void *input, trace_t *trace) {
    memset(c->arena.bytes, 0xa5, c->arena.size);
    ebnn_job_t job = { .model = c->model.bytes,
        .arena = c->arena.bytes,
        .arena_size = c->arena.size,
        .input = input,
        .poll = go_on,
        .trace = trace ? note : NULL,
        .ctx = trace };
    return ebnn_run(&c->net, &job);
}

// The same input at every alignment gives the same, and is not written to.
static void run_aligned(const case_t *c, const block_t *input, trace_t *trace) {
    for (size_t offset = 0; offset < 4; offset++) {
        trace_t again = { .of = c };
        block_t copy = block_copy(input, offset);
        CHECK(run(c, copy.bytes, &again) == EBNN_OK);
        CHECK(memcmp(copy.bytes, input->bytes, input->size) == 0);
        CHECK(offset == 0 || memcmp(again.crc, trace->crc, sizeof(again.crc)) == 0);
        *trace = again;
        free(copy.base);
    }
}

#ifdef EBNN_SMALL // has neither rows nor labels nor a self-test nor traces

static void run_fed(const case_t *c, const block_t *input, const trace_t *trace) {
    (void)c, (void)input, (void)trace;
}

static void check_feed_errors(const case_t *c, const ebnn_job_t *job, const ebnn_job_t *bad) {
    (void)c, (void)job, (void)bad;
}

static void print_nodes(const case_t *c, const trace_t *trace) {
    CHECK(c->net.node_count != 0 && trace->count == 0);
}

static void print_margin(const case_t *c) {
    (void)c;
}

static void print_selftest(const case_t *c) {
    (void)c;
}

static void read_labels(const case_t *c) {
    (void)c;
}

#else

static uint32_t row_bits(const ebnn_value_t *in) {
    uint32_t stride = 1;
    while (stride < in->channels && stride < 32) {
        stride *= 2;
    }
    stride = stride < in->channels ? (in->channels + 31U) / 32 * 32 : stride;
    const uint32_t bits = in->dtype == EBNN_DTYPE_I16 ? 16 : 8;
    return in->width * (in->dtype == EBNN_DTYPE_BITS ? stride : bits * in->channels);
}

// Row y of an input, bit by bit, where nothing but the row is.
static block_t take_row(const case_t *c, const block_t *input, uint32_t y) {
    block_t row = block_new(c->net.row_size, y % 4);
    uint32_t bits = row_bits(&c->net.input);
    CHECK((bits + 7) / 8 == c->net.row_size);
    memset(row.bytes, 0, row.size);
    for (uint32_t i = 0, place = y * bits; i < bits; i++, place++) {
        row.bytes[i / 8] |= (uint8_t)((input->bytes[place / 8] >> place % 8 & 1) << i % 8);
    }
    return row;
}

// One input row by row; the engine's last answer.
static int feed_input(const case_t *c, const block_t *input, ebnn_feed_t *state, ebnn_job_t *job) {
    uint32_t height = c->net.input.height;
    int rc = EBNN_OK;
    memset(c->arena.bytes, 0xa5, c->arena.size);
    for (uint32_t y = 0; y < height && rc >= 0; y++) {
        block_t row = take_row(c, input, y);
        job->input = row.bytes;
        rc = ebnn_feed(&c->net, job, state);
        CHECK(rc < 0 || rc == (int)(height - 1 - y));
        CHECK(state->rows == (rc <= 0 ? 0 : y + 1));
        free(row.base);
    }
    return rc;
}

// An input row by row gives what it gives in one piece, if `trace` says what that is: also after one that was stopped,
// and after a whole one.
static void run_fed(const case_t *c, const block_t *input, const trace_t *trace) {
    block_t window = block_new(c->net.window_size, 0);
    ebnn_feed_t state = { .window = window.bytes };
    ebnn_job_t job = { .model = c->model.bytes, .arena = c->arena.bytes, .arena_size = c->arena.size };
    ebnn_job_t stopped = job;
    int polls = (int)(input->size % 5);
    stopped.poll = stop;
    stopped.ctx = &polls;
    int rc = feed_input(c, input, &state, &stopped);
    CHECK(rc == EBNN_E_STOPPED || (rc == EBNN_OK && polls >= 0));
    for (int time = 0; time < 2; time++) {
        trace_t again = { .of = c };
        job.trace = note;
        job.ctx = &again;
        CHECK(feed_input(c, input, &state, &job) == EBNN_OK);
        CHECK(trace == NULL || memcmp(again.crc, trace->crc, sizeof(again.crc)) == 0);
    }
    free(window.base);
}

static void print_nodes(const case_t *c, const trace_t *trace) {
    CHECK(trace->count == c->net.node_count);
    printf(" nodes");
    for (uint32_t i = 0; i < trace->count; i++) {
        printf(" %08x", (unsigned)trace->crc[i]);
    }
}

static void print_margin(const case_t *c) {
    printf(" margin %lu", (unsigned long)ebnn_margin(&c->net, c->arena.bytes));
}

static void check_feed_errors(const case_t *c, const ebnn_job_t *job, const ebnn_job_t *bad) {
    ebnn_feed_t state = { .window = NULL };
    CHECK(ebnn_feed(&c->net, bad, &state) == EBNN_E_SPACE);
    state.window = c->arena.bytes + 2;
    CHECK(ebnn_feed(&c->net, job, &state) == EBNN_E_ALIGN);
}

static void read_labels(const case_t *c) {
    for (uint32_t i = 0; i <= c->net.classes; i++) {
        size_t length = 0;
        const char *label = ebnn_label(&c->net, c->model.bytes, i, &length);
        CHECK(label == NULL || ebnn_crc32(0, label, length) <= UINT32_MAX);
    }
}

static void print_selftest(const case_t *c) {
    block_t input = block_new(c->net.input_size, 1);
    ebnn_selftest_input(&c->net, input.bytes);
    CHECK(run(c, input.bytes, NULL) == EBNN_OK);
    int passed = ebnn_scores_crc(&c->net, c->arena.bytes) == c->net.selftest_crc;
    printf("case %u selftest %d labels ", (unsigned)c->number, passed);
    for (uint32_t i = 0; i < c->net.classes; i++) {
        size_t length = 0;
        const char *label = ebnn_label(&c->net, c->model.bytes, i, &length);
        printf(label ? "[" : "-");
        for (size_t k = 0; k < length; k++) {
            printf("%02x", (unsigned char)label[k]);
        }
        printf(label ? "]" : "");
    }
    printf("\n");
    size_t length = 0;
    CHECK(ebnn_label(&c->net, c->model.bytes, c->net.classes, &length) == NULL);
    run_fed(c, &input, NULL);
    free(input.base);
}

#endif

static void print_run(const case_t *c, uint32_t index, const trace_t *trace) {
    printf("case %u run %u", (unsigned)c->number, (unsigned)index);
    print_nodes(c, trace);
    printf(" scores");
    for (uint32_t i = 0; i < c->net.classes; i++) {
        printf(" %ld", (long)ebnn_score(&c->net, c->arena.bytes, i));
    }
    printf(" best %d", ebnn_argmax(&c->net, c->arena.bytes));
    print_margin(c);
    printf("\n");
}

// What is the caller's mistake, not the model's, has its own errors.
static void check_errors(const case_t *c) {
    block_t input = block_new(c->net.input_size, 1);
    ebnn_job_t job = {
        .model = c->model.bytes, .arena = c->arena.bytes, .arena_size = c->arena.size, .input = input.bytes
    };
    ebnn_job_t bad = job;
    bad.model = c->model.bytes + 2;
    CHECK(ebnn_run(&c->net, &bad) == EBNN_E_ALIGN);
    bad = job;
    bad.arena = c->arena.bytes + 1;
    CHECK(ebnn_run(&c->net, &bad) == EBNN_E_ALIGN);
    bad = job;
    bad.arena_size -= 1;
    CHECK(ebnn_run(&c->net, &bad) == EBNN_E_SPACE);
    check_feed_errors(c, &job, &bad);
    for (int polls = 0; polls < 3; polls++) {
        int left = polls;
        bad = job;
        bad.poll = stop;
        bad.ctx = &left;
        int rc = ebnn_run(&c->net, &bad);
        CHECK(rc == EBNN_E_STOPPED || (rc == EBNN_OK && polls > 0));
    }
    free(input.base);
}

// A model whose bytes change while it is open gives wrong answers at worst.
static void run_changed_model(const case_t *c) {
    block_t input = block_new(c->net.input_size, 3);
    for (int pattern = 0; pattern < 256; pattern += 51) {
        memset(c->model.bytes, pattern, c->model.size);
        CHECK(run(c, input.bytes, NULL) == EBNN_OK);
        run_fed(c, &input, NULL);
        read_labels(c);
    }
    free(input.base);
}

// Open with a table one node too small, at odd addresses, and then as it should be.
static int open_case(case_t *c) {
    int count = ebnn_node_count(c->model.bytes, c->model.size);
    c->nodes = block_new((size_t)(count > 0 ? count : 0) * sizeof(ebnn_node_t), 0);
    ebnn_node_t *table = (void *)c->nodes.bytes;
    memset(&c->net, 0xa5, sizeof(c->net));
    int rc = ebnn_open(&c->net, table, count > 0 ? (size_t)count : 0, c->model.bytes, c->model.size);
    for (size_t offset = 1; offset < 4; offset++) {
        ebnn_t other;
        block_t moved = block_copy(&c->model, offset);
        block_t nodes = block_new(c->nodes.size, 0);
        CHECK(ebnn_open(&other, (void *)nodes.bytes, count > 0 ? (size_t)count : 0, moved.bytes, moved.size) == rc);
        free(nodes.base);
        free(moved.base);
    }
    if (rc == EBNN_OK) {
        ebnn_t other;
        CHECK(ebnn_open(&other, table, (size_t)count - 1, c->model.bytes, c->model.size) == EBNN_E_NODES);
    }
    return rc;
}

static void run_case(case_t *c) {
    int rc = open_case(c);
    if (rc != EBNN_OK) {
        printf("case %u error %d\n", (unsigned)c->number, rc);
    } else {
        c->arena = block_new(c->net.arena_size, 0);
    }
    for (uint32_t i = 0; i < c->inputs; i++) {
        block_t input;
        trace_t trace = { .of = c };
        CHECK(read_block(&input, c->input_size));
        if (rc == EBNN_OK) {
            CHECK(c->net.input_size == input.size);
            swap_elements(input.bytes, input.size, c->net.input.dtype);
            run_aligned(c, &input, &trace);
            run_fed(c, &input, &trace);
            print_run(c, i, &trace);
        }
        free(input.base);
    }
    if (rc == EBNN_OK) {
        print_selftest(c);
        check_errors(c);
        run_spoiled(c);
        run_changed_model(c);
        free(c->arena.base);
    }
    free(c->nodes.base);
    free(c->model.base);
}

int main(void) {
    uint32_t size;
    for (uint32_t number = 0; read_u32(&size); number++) {
        case_t c = { .number = number };
        CHECK(read_block(&c.model, size) && read_u32(&c.inputs) && read_u32(&c.input_size));
        run_case(&c);
    }
    return 0;
}
