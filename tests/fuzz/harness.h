// What the fuzzer's parts share, and where the fields of a model lie: docs/SPEC.md, section 4.
#ifndef HARNESS_H
#define HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "ebnn.h"

enum { AT_COUNT = 7, AT_TOTAL = 8, AT_CRC = 12, AT_ARENA = 16, AT_SHAPE = 20, AT_DTYPE = 26, AT_LABELS = 28 };
enum { AT_FLAGS = 1, AT_FROM = 2, AT_SECOND = 3, AT_FILTERS = 4, AT_SCRATCH_WORDS = 6, AT_KERNEL = 8, AT_POOL = 16 };
enum { AT_OUT = 24, AT_OUTPUT = 27, AT_SCRATCH = 28, AT_ENDING = 31, AT_PARAMS = 32 };

#define FUZZED_WORK 8000 // what a run costs at most where many are wanted, about in instructions of C

// Everything that the engine does with a model, whatever its bytes are; what must not be ends the program. A model that
// costs more is opened only. The result is what ebnn_open said; drive_runs counts the models that were run.
extern uint32_t drive_runs;
int drive_model(const uint8_t *data, size_t size, uint64_t most_work);

// Open a model once, and run it with each of its bytes changed to every `step`th other value. The number of runs.
uint32_t drive_changes(const uint8_t *data, size_t size, uint32_t step);

#endif
