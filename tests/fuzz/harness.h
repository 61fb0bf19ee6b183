// What the fuzzer's parts share, and where the fields of a model lie: docs/SPEC.md, section 4.
#ifndef HARNESS_H
#define HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "ebnn.h"

enum { AT_COUNT = 7, AT_TOTAL = 8, AT_CRC = 12, AT_ARENA = 16, AT_SHAPE = 20, AT_DTYPE = 26, AT_LABELS = 28 };
enum { AT_FLAGS = 1, AT_FROM = 2, AT_SECOND = 3, AT_FILTERS = 4, AT_SCRATCH_WORDS = 6, AT_KERNEL = 8, AT_POOL = 16 };
enum { AT_OUT = 24, AT_SCRATCH = 28, AT_PARAMS = 32 };

// Everything that the engine does with a model, whatever its bytes are; what must not be ends the program. The result
// is what ebnn_open said.
int drive_model(const uint8_t *data, size_t size);

#endif
