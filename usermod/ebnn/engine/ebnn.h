// ebnn: binarized neural networks on microcontrollers. This header is the manual.
//
// A model is a block of bytes made by the exporter (docs/SPEC.md). It is never copied: the engine reads weights
// where they lie, for example in flash. The caller owns all memory; the engine allocates nothing, has no writable
// variables of its own, and any number of models can be open.
//
//     ebnn_node_t nodes[8];                       // at least as many as ebnn_node_count(model, size) says
//     ebnn_t net;
//     int rc = ebnn_open(&net, nodes, 8, model, size);
//     if (rc < 0) { puts(ebnn_error_text(rc)); }
//
//     uint32_t arena[...];                        // net.arena_size bytes, aligned to 4
//     ebnn_job_t job = { .model = model, .arena = arena, .arena_size = sizeof(arena), .input = image };
//     rc = ebnn_run(&net, &job);                  // 0, or a negative EBNN_E_...
//     int digit = ebnn_argmax(&net, arena);       // or ebnn_score(&net, arena, 0 .. net.classes - 1)
//
// ebnn_open checks every control record once and decodes it into `nodes`. From then on only weights, thresholds,
// offsets, gains and flips are read from the model, and they never form an address or a count: a model whose bytes
// change while it is open gives wrong answers at worst.
//
// In memory the numbers of i16 and i32 values, an input of i16 too, have the byte order of the machine.
#ifndef EBNN_H
#define EBNN_H

#include <stddef.h>
#include <stdint.h>

#include "ebnn_ops.h"
#include "ebnn_port.h"

#ifdef __cplusplus
extern "C" {
#endif

// Errors. Results below 0 are errors, 0 and above are sizes or success.
enum {
    EBNN_OK = 0,
#define EBNN_ENUM(name, code, text) name = code,
    EBNN_ERROR_LIST(EBNN_ENUM)
#undef EBNN_ENUM
};

typedef struct {
    uint16_t height, width, channels;
    uint8_t dtype; // EBNN_DTYPE_...
} ebnn_value_t;

typedef struct {
    uint8_t height, width, stride_h, stride_w;
    uint8_t top, left, bottom, right; // padding
} ebnn_window_t;

// A decoded node. Callers only provide the memory.
typedef struct {
    uint8_t op, flags;
    uint8_t from, second; // the values that it reads; second 0: none
    uint8_t input; // dtype of the first
    uint8_t kernel_index; // in the engine's table of kernels
    uint8_t word_pixels; // whether an input pixel is one or more whole words
    uint8_t levels, shift; // thresholds a filter, of bits; of integers
    uint16_t filters;
    ebnn_window_t kernel, pool;
    ebnn_value_t output;
    uint16_t map_h, map_w; // before the pool
    uint32_t row_words; // words in a row of weights
    uint32_t taps; // weights of a filter
    uint32_t weights, numbers, gains, flips; // offsets in the model; flips 0: none
    uint32_t out, scratch; // offsets in the arena
    uint32_t scratch_size;
} ebnn_node_t;

typedef struct {
    const ebnn_node_t *nodes;
    uint32_t node_count;
    ebnn_value_t input;
    uint32_t input_size; // bytes that ebnn_run reads from job.input
    uint32_t arena_size; // bytes of working memory that ebnn_run wants
    uint32_t row_size, window_size; // bytes of a row of the input, and of what ebnn_feed keeps of it
    uint16_t window_rows;
    uint32_t classes; // number of scores
    uint32_t size; // bytes of the model
    uint32_t labels; // offset of the labels in the model, 0: none
    uint32_t selftest_seed, selftest_crc;
    uint32_t margin; // least difference of the two highest scores of a sure answer, 0: none calibrated
    uint8_t prepare, threshold; // how a gray picture became the input: EBNN_PREPARE_... or 0; least gray of a bit 1
} ebnn_t;

// One run: where everything lies, and who wants to hear of it.
typedef struct {
    const void *model; // the bytes that were opened; they may have moved
    void *arena; // aligned to 4
    size_t arena_size;
    const void *input; // net.input_size bytes, any alignment
    int (*poll)(void *ctx); // or NULL; once a row of a map, more often in long ones: not 0 stops the run
    int (*trace)(void *ctx, uint32_t node, const void *data, uint32_t size); // or NULL; after each node, as poll
    void *ctx;
} ebnn_job_t;

// Number of nodes of a model, so that the caller can size the table; or an error.
int ebnn_node_count(const void *model, size_t size);

// Check the model and fill *net and nodes[0 .. max_nodes - 1]. 0 or an error.
int ebnn_open(ebnn_t *net, ebnn_node_t *nodes, size_t max_nodes, const void *model, size_t size);

// Run the network; the scores stay in the arena. 0 or an error.
int ebnn_run(const ebnn_t *net, const ebnn_job_t *job);

// An input that comes row by row, so that nobody needs memory for all of it. Nothing else may use the arena meanwhile.
typedef struct {
    void *window; // net.window_size bytes, aligned to 4
    uint32_t rows; // taken so far; set to 0 before the first row
    uint32_t place[5]; // the engine's own
} ebnn_feed_t;

// Take the next row, the net.row_size bytes at job.input; a row of bits is filled up to whole bytes. The number of rows
// that are still missing; 0: the scores are in the arena as behind ebnn_run, and the next row begins a new input. Or an
// error: begin anew.
int ebnn_feed(const ebnn_t *net, const ebnn_job_t *job, ebnn_feed_t *feed);

// A camera's or a display's frame, and how it becomes an input of one channel (docs/SPEC.md, section 8).
typedef struct {
    uint32_t width, height, stride; // in pixels; stride is from line to line, 0: width
    uint32_t crop_x, crop_y, crop_w, crop_h; // what is taken of it; crop_w and crop_h 0: all the rest
    uint8_t format; // EBNN_PIXELS_...
    uint8_t prepare, threshold; // as net.prepare and net.threshold where net.prepare is not 0
    uint16_t out_w, out_h; // from here on filled in by ebnn_picture_open
    uint32_t pitch, size; // bytes from line to line (of MONO_VLSB: from page to page), and of a frame at least
} ebnn_picture_t;

// Check what the caller filled in, and fill in the rest. 0 or an error.
int ebnn_picture_open(ebnn_picture_t *picture, const ebnn_t *net);

// Make the whole input, net->input_size bytes, of a frame of picture->size bytes.
void ebnn_picture_input(const ebnn_picture_t *picture, const void *frame, void *out);

// Make row y of it, net->row_size bytes as ebnn_feed takes them.
void ebnn_picture_row(const ebnn_picture_t *picture, const void *frame, uint32_t y, void *out);

// A score of the last run; `index` is below net->classes.
int32_t ebnn_score(const ebnn_t *net, const void *arena, uint32_t index);

// Index of the largest score of the last run, the lowest among equals.
int ebnn_argmax(const ebnn_t *net, const void *arena);

// Difference of the two highest scores of the last run, UINT32_MAX where there is only one. The answer is sure where
// this is at least net->margin.
uint32_t ebnn_margin(const ebnn_t *net, const void *arena);

// Text of label `index` (not terminated) and its length in *length; NULL where there is none.
const char *ebnn_label(const ebnn_t *net, const void *model, uint32_t index, size_t *length);

// Fill `input` (net->input_size bytes) with the model's self-test input.
void ebnn_selftest_input(const ebnn_t *net, void *input);

// CRC-32 of the scores of the last run; equals net->selftest_crc after a run on the self-test input.
uint32_t ebnn_scores_crc(const ebnn_t *net, const void *arena);

// CRC-32 as zlib's: start with crc 0, go on with the result.
uint32_t ebnn_crc32(uint32_t crc, const void *data, size_t size);

// A sentence for an error.
const char *ebnn_error_text(int error);

#ifdef __cplusplus
}
#endif

#endif
