// The entry of libFuzzer.

#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    drive_model(data, size, FUZZED_WORK);
    return 0;
}
