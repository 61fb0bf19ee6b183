// The pixels of one image, with its border, and unfolded.

#include "frame.h"

#define BAND_BYTES (32 << 10) // of unfolded pixels at once: two thirds of a usual first-level cache

int frame_open(frame_t *f, const conv_t *c) {
    f->padded_h = c->height + c->top + c->bottom;
    f->padded_w = c->width + c->left + c->right;
    f->row = f->padded_w * c->channels;
    f->run = c->kernel_w * c->channels;
    f->taps = c->kernel_h * f->run;
    f->phases = c->pool_h * c->pool_w;
    int floats = BAND_BYTES / (4 * f->phases * c->out_w); // for one window of a row
    f->band = least(at_least_one(floats / lanes_up(f->taps)), c->out_h);
    int rows = least(at_least_one(floats / lanes_up(f->run)), c->kernel_h);
    f->slices = (c->kernel_h + rows - 1) / rows;
    f->slice = (c->kernel_h + f->slices - 1) / f->slices;
    f->stride = lanes_up(f->slice * f->run);
    size_t pixels = (size_t)f->padded_h * f->row, cells = (size_t)f->phases * f->band * c->out_w * f->stride;
    f->image = reserve(4 * (pixels + LANES));
    f->columns = reserve(4 * (cells + LANES));
    if (!f->image || !f->columns) {
        return 0;
    }
    for (size_t i = 0; i < pixels + LANES; i++) {
        f->image[i] = c->border;
    }
    memset(f->columns, 0, 4 * (cells + LANES));
    return 1;
}

void frame_close(frame_t *f) {
    free(f->image);
    free(f->columns);
}

void take_image(const frame_t *f, const conv_t *c, const void *x, size_t index) {
    int line = c->width * c->channels;
    for (int y = 0; y < c->height; y++) {
        float *to = f->image + (size_t)(y + c->top) * f->row + c->left * c->channels;
        size_t from = (index * c->height + y) * line;
        if (c->bytes) {
            const uint8_t *bytes = (const uint8_t *)x + from;
            for (int i = 0; i < line; i++) {
                to[i] = (float)(2 * bytes[i] - 255);
            }
        } else {
            memcpy(to, (const float *)x + from, 4 * (size_t)line);
        }
    }
}

// Copies whole vectors and writes over the end of each row: the next one comes there, in the end that of the next position. What
// remains in the last lanes meets weights of 0, or becomes a gradient that nobody reads.
static inline void unfold_one(const frame_t *f, int rows, const float *from, float *to) {
    for (; rows; rows--, from += f->row, to += f->run) {
        for (int i = 0; i < f->run; i += LANES) {
            store(to + i, load(from + i));
        }
    }
}

void unfold(const frame_t *f, const conv_t *c, int first, int rows, int slice) {
    float *to = f->columns;
    const float *image = f->image + (size_t)slice * f->slice * f->row;
    int kernel_rows = slice_rows(f, c, slice);
    for (int phase = 0; phase < f->phases; phase++) {
        for (int y = first; y < first + rows; y++) {
            const float *from = image + origin(f, c, y, phase);
            for (int x = 0; x < c->out_w; x++, to += f->stride, from += step(c)) {
                unfold_one(f, kernel_rows, from, to);
            }
        }
    }
}
