// Convolution with its pool, and batch norm, for training on a CPU: what ebnn/train/arrays.py says, faster.
//
// Three things make it fast. Where input and weights are all -1 and +1, the sums are counted bits, as on the device. Of a pool
// window only the winner has a gradient, so the backward pass visits one position of each window and filter instead of
// all of them. And pixels are unfolded for a band of rows that stays in the first-level cache, never for a batch.
//
// Maps are (image, height, width, channel), filters (filter, kernel height, kernel width, channel). "Positions" are places
// of the kernel, "windows" those of the pool; without a pool a window is one position. All sizes were checked in Python.

#ifndef EBNN_FRAME_H
#define EBNN_FRAME_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16 // floats of a vector; the compiler cuts it up where the processor's are shorter

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_at __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

typedef struct {
    int32_t height, width, channels; // of the input
    int32_t kernel_h, kernel_w, stride_h, stride_w;
    int32_t top, left, bottom, right; // padding
    int32_t out_h, out_w, filters; // of the output, after the pool
    int32_t pool_h, pool_w;
    float border; // what padding holds
    int32_t bytes; // 1: the input is uint8, and x counts as 2 x - 255
} conv_t;

static inline vec load(const float *p) {
    return *(const vec_at *)p;
}
static inline void store(float *p, vec v) {
    *(vec_at *)p = v;
}
static inline int lanes_up(int n) {
    return (n + LANES - 1) / LANES * LANES;
}

static inline void *reserve(size_t bytes) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, bytes) ? NULL : memory;
}

// What one call works with. ``columns`` are unfolded pixels, (phase, window of the band, ``stride``), of a slice of kernel rows:
// a large kernel is taken slice by slice, so that they stay in the cache.
typedef struct {
    int padded_h, padded_w, row; // of the image with its border; floats of one of its rows
    int taps, run; // products of a sum; those that lie together in a row
    int slice, slices, stride; // kernel rows of a slice; slices of a kernel; floats of a slice in whole vectors
    int phases, band; // positions of a pool window; rows of windows in a band
    float *image, *columns;
} frame_t;

static inline int least(int a, int b) {
    return a < b ? a : b;
}
static inline int at_least_one(int a) {
    return a < 1 ? 1 : a;
}

// Where the kernel at the first window of a row begins in the image; the next windows are ``step`` floats apart.
static inline size_t origin(const frame_t *f, const conv_t *c, int y, int phase) {
    int row = (y * c->pool_h + phase / c->pool_w) * c->stride_h, column = phase % c->pool_w * c->stride_w;
    return (size_t)row * f->row + (size_t)column * c->channels;
}

static inline int step(const conv_t *c) {
    return c->pool_w * c->stride_w * c->channels;
}

// Kernel rows of a slice: all but the last have ``slice``.
static inline int slice_rows(const frame_t *f, const conv_t *c, int slice) {
    return least(f->slice, c->kernel_h - slice * f->slice);
}

// 0 without memory; frame_close is called in either case.
int frame_open(frame_t *f, const conv_t *c);
void frame_close(frame_t *f);
// One image into the frame, as floats.
void take_image(const frame_t *f, const conv_t *c, const void *x, size_t index);
// The pixels that a slice of the kernel reads in some rows of windows, into ``columns``.
void unfold(const frame_t *f, const conv_t *c, int first, int rows, int slice);

#endif
