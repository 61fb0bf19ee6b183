// One case of the bench: open the model, run it alone, run it again with a trace. Every step is a counted region:
// open, run, then one a node, then what follows the last node.
#include "bare.h"
#include "ebnn.h"

#define MAX_NODES 32
#define STACK_BYTES 8192 // painted to see how deep a run goes
#define GUARD_WORDS 16 // behind the arena
#define PAINTER_WORDS 16 // stack of paint itself
#define PAINT 0xa5c35a3cUL

#if defined(__riscv)
#define MOVE "mv"
#else
#define MOVE "mov"
#endif

enum {
    CASE_MODEL_SIZE,
    CASE_INPUT_OFFSET, // bytes from the case's begin
    CASE_MODEL, // the first word of the model
};

static ebnn_t net;
static ebnn_node_t nodes[MAX_NODES];
static ebnn_job_t job;

BARE_HARNESS static void paint(uint32_t *from, const uint32_t *to) {
    // volatile: the stack below this function is no object that the compiler knows.
    for (volatile uint32_t *p = from; p < to; p++) {
        *p = PAINT;
    }
}

BARE_HARNESS static uint32_t painted_words(const uint32_t *from, const uint32_t *to) {
    const volatile uint32_t *p = from;
    while (p < to && *p == PAINT) {
        p++;
    }
    return (uint32_t)(p - from);
}

BARE_HARNESS static int trace(void *ctx, uint32_t node, const void *data, uint32_t size) {
    bare_end();
    (void)ctx;
    (void)node;
    bare_print_word("node", ebnn_crc32(0, data, size));
    bare_begin();
    return 0;
}

BARE_HARNESS static int failed(const char *what, int rc) {
    bare_print_word(what, (uint32_t)rc);
    return 1;
}

// Runs the network; returns the bytes of stack that it took.
BARE_HARNESS __attribute__((noinline)) static uint32_t run_stack(int *rc) {
    uint32_t *bottom = bare_stack_top - STACK_BYTES / 4, *sp;
    __asm__ volatile(MOVE " %0, sp" : "=r"(sp));
    paint(bottom, sp - PAINTER_WORDS);
    bare_begin();
    *rc = ebnn_run(&net, &job);
    bare_end();
    return 4 * ((uint32_t)(sp - bottom) - painted_words(bottom, sp));
}

BARE_HARNESS int main(void) {
    const uint32_t *model = bare_case + CASE_MODEL;
    bare_begin();
    int rc = ebnn_open(&net, nodes, MAX_NODES, model, bare_case[CASE_MODEL_SIZE]);
    bare_end();
    if (rc != EBNN_OK) {
        return failed("open", rc);
    }
    uint32_t *guard = bare_free + net.arena_size / 4;
    if (guard + GUARD_WORDS > bare_stack_top - STACK_BYTES / 4) {
        return failed("arena", (int)net.arena_size);
    }
    paint(guard, guard + GUARD_WORDS);
    job = (ebnn_job_t) {
        .model = model,
        .arena = bare_free,
        .arena_size = net.arena_size,
        .input = (const uint8_t *)bare_case + bare_case[CASE_INPUT_OFFSET],
    };
    uint32_t stack = run_stack(&rc);
    if (rc != EBNN_OK) {
        return failed("run", rc);
    }
    for (uint32_t i = 0; i < net.classes; i++) {
        bare_print_word("score", (uint32_t)ebnn_score(&net, bare_free, i));
    }
    job.trace = trace;
    bare_begin();
    ebnn_run(&net, &job);
    bare_end();
    bare_print_word("stack", stack);
    bare_print_word("guard", painted_words(guard, guard + GUARD_WORDS) == GUARD_WORDS);
    return 0;
}
