// Makes inputs of frames with every buffer in a block of exactly its size. Reads cases, again and again: u32 model size,
// model, ten u32 (width, height, stride, crop x, y, w, h, format, prepare, threshold), u32 frame size, frame. Prints
// a line for each:
//
//     case 0 error -18
//     case 1 short of 300
//     case 2 size 300 input 00ff7f

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebnn.h"

static void check(int holds, const char *what) {
    if (!holds) {
        printf("pictures.c: not true: %s\n", what);
        fflush(stdout);
        exit(1);
    }
}

static uint8_t *block_new(size_t size) {
    uint8_t *block = malloc(size);
    check(block != NULL || size == 0, "there is memory");
    memset(block, 0xa5, size); // nothing may rely on zeros
    return block;
}

static int read_u32(uint32_t *number) {
    uint8_t b[4];
    if (fread(b, 1, 4, stdin) != 4) {
        return 0;
    }
    *number = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return 1;
}

static uint8_t *read_block(uint32_t *size) {
    check(read_u32(size), "a case is whole");
    uint8_t *block = block_new(*size);
    check(fread(block, 1, *size, stdin) == *size, "a case is whole");
    return block;
}

static ebnn_picture_t read_picture(void) {
    uint32_t n[10];
    for (int i = 0; i < 10; i++) {
        check(read_u32(&n[i]), "a case is whole");
    }
    ebnn_picture_t picture = { n[0], n[1], n[2], n[3], n[4], n[5], n[6], (uint8_t)n[7], (uint8_t)n[8], (uint8_t)n[9],
        0xa5a5, 0xa5a5, 0xa5a5a5a5, 0xa5a5a5a5 };
    return picture;
}

static int bit_at(const uint8_t *bytes, uint32_t place) {
    return bytes[place / 8] >> place % 8 & 1;
}

// Every row by itself is what it is in the whole input.
static void check_rows(const ebnn_picture_t *picture, const ebnn_t *net, const uint8_t *frame, const uint8_t *input) {
    uint32_t bits = net->input.width * (net->input.dtype == EBNN_DTYPE_U8 ? 8U : 1U);
    for (uint32_t y = 0; y < net->input.height; y++) {
        uint8_t *row = block_new(net->row_size);
        ebnn_picture_row(picture, frame, y, row);
        for (uint32_t i = 0; i < 8 * net->row_size; i++) {
            check(bit_at(row, i) == (i < bits ? bit_at(input, y * bits + i) : 0), "a row is that of the input");
        }
        free(row);
    }
}

static void make_input(const ebnn_picture_t *picture, const ebnn_t *net, const uint8_t *given) {
    uint8_t *frame = block_new(picture->size), *input = block_new(net->input_size);
    memcpy(frame, given, picture->size);
    ebnn_picture_input(picture, frame, input);
    check_rows(picture, net, frame, input);
    check(memcmp(frame, given, picture->size) == 0, "the frame is not written to");
    printf("size %u input ", (unsigned)picture->size);
    for (uint32_t i = 0; i < net->input_size; i++) {
        printf("%02x", input[i]);
    }
    printf("\n");
    free(frame);
    free(input);
}

int main(void) {
    ebnn_node_t nodes[8];
    ebnn_t net;
    uint32_t size;
    for (uint32_t number = 0; read_u32(&size); number++) {
        uint8_t *model = block_new(size);
        check(fread(model, 1, size, stdin) == size, "a case is whole");
        check(ebnn_open(&net, nodes, 8, model, size) == EBNN_OK, "the model is good");
        ebnn_picture_t picture = read_picture();
        uint32_t given;
        uint8_t *frame = read_block(&given);
        int rc = ebnn_picture_open(&picture, &net);
        printf("case %u ", (unsigned)number);
        if (rc != EBNN_OK) {
            printf("error %d\n", rc);
        } else if (given < picture.size) {
            printf("short of %u\n", (unsigned)picture.size);
        } else {
            make_input(&picture, &net, frame);
        }
        free(frame);
        free(model);
    }
    return 0;
}
