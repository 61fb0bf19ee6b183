// Flips bits of models: reads u32 size, model, again and again. `flips closed STEP` flips every STEPth bit of a model's
// file, once as it is and once with the checksum mended, and does everything with what can still be opened; `flips open
// STEP` changes the bytes of a model that is open. Prints for each model the number of runs and, where it is closed, how
// often each error was found behind a mended checksum.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define MOST_WORK 20000000
#define ERRORS 32

static void mend(uint8_t *model, size_t size) {
    uint32_t crc = ebnn_crc32(ebnn_crc32(0, model, AT_CRC), model + AT_CRC + 4, size - AT_CRC - 4);
    for (uint32_t i = 0; i < 4; i++) {
        model[AT_CRC + i] = (uint8_t)(crc >> 8 * i);
    }
}

// The flipped bits that were not refused although nobody mended the checksum.
static uint32_t flip_closed(const uint8_t *model, size_t size, uint32_t step) {
    uint32_t found[ERRORS] = { 0 }, taken = 0, runs = drive_runs;
    for (uint32_t bit = 0; bit < 8 * size; bit += step) {
        uint8_t *flipped = malloc(size);
        memcpy(flipped, model, size);
        flipped[bit / 8] ^= (uint8_t)(1U << bit % 8);
        taken += drive_model(flipped, size, MOST_WORK) == EBNN_OK;
        mend(flipped, size);
        found[-drive_model(flipped, size, MOST_WORK)]++;
        free(flipped);
    }
    printf("%u", (unsigned)(drive_runs - runs));
    for (int error = 0; error < ERRORS; error++) {
        if (found[error] != 0) {
            printf(" %d:%u", -error, (unsigned)found[error]);
        }
    }
    printf("\n");
    return taken;
}

int main(int count, char **words) {
    uint8_t head[4];
    uint32_t step = count == 3 ? (uint32_t)atoi(words[2]) : 0, taken = 0;
    while (step != 0 && fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *model = malloc(size);
        if (model == NULL || fread(model, 1, size, stdin) != size) {
            return 2;
        }
        if (strcmp(words[1], "open") == 0) {
            printf("%u\n", (unsigned)drive_changes(model, size, step));
        } else {
            taken += flip_closed(model, size, step);
        }
        free(model);
    }
    return step == 0 || taken != 0;
}
