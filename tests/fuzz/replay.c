// Drives models without a fuzzer: reads u32 size, model, again and again, and prints for each what ebnn_open said.

#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

static int read_exactly(void *to, size_t size) {
    return fread(to, 1, size, stdin) == size;
}

int main(void) {
    uint8_t head[4];
    while (read_exactly(head, sizeof(head))) {
        size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *model = malloc(size);
        if ((model == NULL && size != 0) || !read_exactly(model, size)) {
            return 2;
        }
        printf("%d\n", drive_model(model, size, FUZZED_WORK));
        free(model);
    }
    return 0;
}
