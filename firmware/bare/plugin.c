// A QEMU plugin that counts executed instructions between two functions of the guest.
//
// Arguments: out=FILE, begin=ADDRESS, end=ADDRESS, skip=ADDRESS and skip_end=ADDRESS of code that is not counted.
// Each call of the function at `end` writes "count N" to FILE, then "at ADDRESS N" for every instruction that ran, and
// "taken ADDRESS N" for every instruction after which the next one in memory did not follow.
//
// Counting goes by translated blocks: QEMU executes a block from its first instruction to its last unless an exception
// leaves it in the middle, and the bench's images have neither interrupts nor faults. That needs only calls of the
// API that are the same in all its versions; QEMU's header is not needed, which few distributions install.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id_t;
typedef void (*block_translated_t)(plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*block_runs_t)(unsigned int cpu, void *data);
enum { CALLBACK_READS_NO_REGISTERS };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id_t id, block_translated_t callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, block_runs_t callback, int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = API_VERSION;

typedef struct block {
    struct block *next;
    uint64_t runs, taken; // since `begin`; how often the block behind it in memory was not the next one
    uint64_t start, end;
    size_t size; // instructions
    uint64_t addresses[];
} block_t;

static struct {
    FILE *out;
    uint64_t begin, end, skip, skip_end;
    block_t *blocks, *last;
    int counting;
} state;

static void count_runs(unsigned int cpu, void *data) {
    block_t *block = data;
    (void)cpu;
    if (!state.counting) {
        return;
    }
    block->runs++;
    if (state.last != NULL && state.last->end != block->start) {
        state.last->taken++;
    }
    state.last = block;
}

static void leave_last(void) {
    if (state.last != NULL) {
        state.last->taken++;
        state.last = NULL;
    }
}

static void bench_runs(unsigned int cpu, void *data) {
    (void)cpu;
    (void)data;
    leave_last();
}

static void begin_runs(unsigned int cpu, void *data) {
    (void)cpu;
    (void)data;
    for (block_t *block = state.blocks; block != NULL; block = block->next) {
        block->runs = block->taken = 0;
    }
    state.last = NULL;
    state.counting = 1;
}

static void end_runs(unsigned int cpu, void *data) {
    uint64_t sum = 0;
    (void)cpu;
    (void)data;
    leave_last();
    state.counting = 0;
    for (block_t *block = state.blocks; block != NULL; block = block->next) {
        sum += block->runs * block->size;
    }
    fprintf(state.out, "count %" PRIu64 "\n", sum);
    for (block_t *block = state.blocks; block != NULL; block = block->next) {
        for (size_t i = 0; block->runs != 0 && i < block->size; i++) {
            fprintf(state.out, "at %" PRIx64 " %" PRIu64 "\n", block->addresses[i], block->runs);
        }
        if (block->taken != 0) {
            uint64_t address = block->addresses[block->size - 1];
            fprintf(state.out, "taken %" PRIx64 " %" PRIu64 "\n", address, block->taken);
        }
    }
    fflush(state.out);
}

static block_t *new_block(const struct qemu_plugin_tb *tb) {
    size_t size = qemu_plugin_tb_n_insns(tb);
    block_t *block = malloc(sizeof(block_t) + size * sizeof(uint64_t));
    if (block == NULL) {
        abort();
    }
    *block = (block_t) { .next = state.blocks, .size = size, .start = qemu_plugin_tb_vaddr(tb) };
    for (size_t i = 0; i < size; i++) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        block->addresses[i] = qemu_plugin_insn_vaddr(insn);
        block->end = block->addresses[i] + qemu_plugin_insn_size(insn);
    }
    state.blocks = block;
    return block;
}

static void block_translated(plugin_id_t id, struct qemu_plugin_tb *tb) {
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    (void)id;
    if (address == state.begin) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, begin_runs, CALLBACK_READS_NO_REGISTERS, NULL);
    } else if (address == state.end) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, end_runs, CALLBACK_READS_NO_REGISTERS, NULL);
    } else if (address < state.skip || address >= state.skip_end) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, count_runs, CALLBACK_READS_NO_REGISTERS, new_block(tb));
    } else {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, bench_runs, CALLBACK_READS_NO_REGISTERS, NULL);
    }
}

static int read_argument(const char *text) {
    static const char *const names[] = { "begin", "end", "skip", "skip_end" };
    uint64_t *const fields[] = { &state.begin, &state.end, &state.skip, &state.skip_end };
    const char *value = strchr(text, '=');
    if (value == NULL) {
        return 0;
    }
    size_t length = (size_t)(value++ - text);
    if (length == 3 && memcmp(text, "out", 3) == 0) {
        state.out = fopen(value, "w");
        return state.out != NULL;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (length == strlen(names[i]) && memcmp(text, names[i], length) == 0) {
            *fields[i] = strtoull(value, NULL, 0);
            return 1;
        }
    }
    return 0;
}

EXPORT int qemu_plugin_install(plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!read_argument(argv[i])) {
            fprintf(stderr, "cannot use the argument %s\n", argv[i]);
            return -1;
        }
    }
    if (state.out == NULL) {
        fprintf(stderr, "out=FILE is missing\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    return 0;
}
