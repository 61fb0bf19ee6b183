// The entry of libFuzzer.

#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Most executions are short, because many are wanted; a byte of the checksum chooses those that may take longer.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    drive_model(data, size, size > AT_CRC && data[AT_CRC] % 8 == 0 ? FUZZED_WORK : FUZZED_WORK / 4);
    return 0;
}
