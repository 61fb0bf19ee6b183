// A digit without an operating system: opens the model, runs its self-test, and says what the image in digit.h shows.
#include "digit.h"
#include "ebnn.h"
#include "ebnn_model.h"

void print(const char *text); // start.c

static ebnn_node_t nodes[EBNN_MODEL_NODES];
static uint32_t arena[EBNN_MODEL_ARENA_SIZE / 4];
static uint8_t input[EBNN_MODEL_INPUT_SIZE];

static int run(const ebnn_t *net, const uint8_t *image) {
    ebnn_job_t job = { ebnn_model, arena, sizeof(arena), image, NULL, NULL, NULL };
    return ebnn_run(net, &job);
}

int main(void) {
    ebnn_t net;
    char answer[] = "the digit is a ?\n";
    int rc = ebnn_open(&net, nodes, EBNN_MODEL_NODES, ebnn_model, EBNN_MODEL_SIZE);
    if (rc == EBNN_OK) {
        ebnn_selftest_input(&net, input);
        rc = run(&net, input);
    }
    if (rc != EBNN_OK) {
        print(ebnn_error_text(rc));
        return 1;
    }
    const int passed = ebnn_scores_crc(&net, arena) == net.selftest_crc;
    print(passed ? "self-test passed\n" : "self-test failed\n");
    if (sizeof(digit) == sizeof(input) && run(&net, digit) == EBNN_OK) { // another model wants another image
        answer[sizeof(answer) - 3] = (char)('0' + ebnn_argmax(&net, arena));
        print(answer);
    }
    return passed ? 0 : 1;
}
