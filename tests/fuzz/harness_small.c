// The same for the engine for the least memory, which only opens and runs: every buffer of exactly its size, a model
// that changes while it is open.

#include <stdio.h>
#include <stdlib.h>

#include "ebnn_core.h"
#include "harness.h"

#define CHECK(what) check((what) != 0, #what, __LINE__)

uint32_t drive_runs;

static void check(int holds, const char *what, int line) {
    if (!holds) {
        fprintf(stderr, "harness_small.c:%d: not true: %s\n", line, what);
        abort();
    }
}

static uint8_t *block(size_t size, uint32_t *random) {
    uint8_t *made = malloc(size);
    CHECK(made != NULL || size == 0);
    for (size_t i = 0; i < size; i++) {
        *random = *random * 1664525U + 1013904223U;
        made[i] = (uint8_t)(*random >> 24);
    }
    return made;
}

static uint64_t work_of(const ebnn_t *net) {
    uint64_t work = net->input_size + net->arena_size;
    for (uint32_t i = 0; i < net->node_count; i++) {
        const ebnn_node_t *node = &net->nodes[i];
        uint64_t positions = (uint64_t)node->output.height * node->output.width * node->pool.height * node->pool.width;
        uint64_t filter = node->input == EBNN_DTYPE_U8 ? node->taps : 4U * node->row_words;
        work += positions * (node->filters + 1U) * (filter + 4);
    }
    return work;
}

static void run_net(const ebnn_t *net, const uint8_t *data, uint32_t random) {
    uint32_t offset = random % 4;
    uint8_t *model = block(net->size, &random), *arena = block(net->arena_size, &random);
    uint8_t *input = block(net->input_size + offset, &random);
    memcpy(model, data, net->size);
    ebnn_job_t job = { .model = model, .arena = arena, .arena_size = net->arena_size, .input = input + offset };
    CHECK(ebnn_run(net, &job) == EBNN_OK && (uint32_t)ebnn_argmax(net, arena) < net->classes);
    for (uint32_t count = random % 32; count != 0; count--) {
        random = random * 1664525U + 1013904223U;
        model[(random >> 8) % net->size] = (uint8_t)random;
    }
    CHECK(ebnn_run(net, &job) == EBNN_OK);
    job.arena_size--;
    CHECK(ebnn_run(net, &job) == EBNN_E_SPACE);
    free(input);
    free(arena);
    free(model);
    drive_runs++;
}

int drive_model(const uint8_t *data, size_t size, uint64_t most_work) {
    int count = ebnn_node_count(data, size);
    ebnn_t net;
    ebnn_node_t *nodes = malloc(count > 0 ? (size_t)count * sizeof(ebnn_node_t) : 0);
    int rc = ebnn_open(&net, nodes, count > 0 ? (size_t)count : 0, data, size);
    CHECK(rc <= EBNN_OK && rc >= EBNN_E_LABELS && (count >= 0 || rc == count));
    if (rc == EBNN_OK && work_of(&net) <= most_work) {
        run_net(&net, data, ebnn_crc32(1, data, size));
    }
    free(nodes);
    return rc;
}
