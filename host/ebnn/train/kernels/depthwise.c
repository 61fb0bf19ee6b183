// Convolution of each channel on its own: what ebnn/train/depthwise.py says in array operations, faster.

#include "frame.h"

// Weights are (tap, times, channel), a map of sums has times * channels filters; ``edge`` is a pixel of the border.
typedef struct {
    const conv_t *conv;
    int times, row; // filters of a channel; floats of a row of the input
    float *edge;
} depth_t;

static int depth_open(depth_t *d, const conv_t *c) {
    *d = (depth_t) { c, c->filters / c->channels, c->width * c->channels, reserve(4 * (size_t)c->channels) };
    for (int i = 0; d->edge && i < c->channels; i++) {
        d->edge[i] = c->border;
    }
    return d->edge != NULL;
}

// Where the pixel that tap (ky, kx) reads at (y, x) begins in an image; -1: it lies outside.
static long place(const depth_t *d, int y, int x, int tap) {
    const conv_t *c = d->conv;
    int row = y * c->stride_h - c->top + tap / c->kernel_w, column = x * c->stride_w - c->left + tap % c->kernel_w;
    int inside = row >= 0 && row < c->height && column >= 0 && column < c->width;
    return inside ? (long)row * d->row + (long)column * c->channels : -1;
}

static void add_products(const float *restrict a, const float *restrict b, float *restrict sum, int count) {
    for (int i = 0; i < count; i++) {
        sum[i] += a[i] * b[i];
    }
}

static void sums_at(const depth_t *d, const float *image, const float *w, int y, int x, float *sums) {
    const conv_t *c = d->conv;
    memset(sums, 0, 4 * (size_t)c->filters);
    for (int tap = 0; tap < c->kernel_h * c->kernel_w; tap++, w += c->filters) {
        long at = place(d, y, x, tap);
        const float *pixel = at < 0 ? d->edge : image + at;
        for (int t = 0; t < d->times; t++) {
            add_products(pixel, w + t * c->channels, sums + t * c->channels, c->channels);
        }
    }
}

static void gradients_at(const depth_t *d, const float *image, const float *w, const float *gy, int y, int x, float *gw,
    float *gimage) {
    const conv_t *c = d->conv;
    for (int tap = 0; tap < c->kernel_h * c->kernel_w; tap++, w += c->filters, gw += c->filters) {
        long at = place(d, y, x, tap);
        const float *pixel = at < 0 ? d->edge : image + at;
        for (int t = 0, f = 0; t < d->times; t++, f += c->channels) {
            add_products(pixel, gy + f, gw + f, c->channels);
            if (at >= 0) {
                add_products(w + f, gy + f, gimage + at, c->channels);
            }
        }
    }
}

// 1 on success, 0 without memory. ``x`` is (count, height, width, channels), ``y`` (count, out_h, out_w, filters).
int ebnn_depthwise_forward(const conv_t *c, int count, const float *x, const float *w, float *y) {
    depth_t d;
    int done = depth_open(&d, c);
    for (int n = 0; done && n < count; n++, x += (size_t)c->height * d.row) {
        for (int at = 0; at < c->out_h * c->out_w; at++, y += c->filters) {
            sums_at(&d, x, w, at / c->out_w, at % c->out_w, y);
        }
    }
    free(d.edge);
    return done;
}

// Gradients ``gw``, (tap, times, channel), and ``gx``. 1 on success, 0 without memory.
int ebnn_depthwise_backward(const conv_t *c, int count, const float *x, const float *w, const float *gy, float *gw,
    float *gx) {
    depth_t d;
    int done = depth_open(&d, c);
    size_t size = (size_t)c->height * d.row;
    memset(gw, 0, 4 * (size_t)c->kernel_h * c->kernel_w * c->filters);
    memset(gx, 0, 4 * count * size);
    for (int n = 0; done && n < count; n++, x += size, gx += size) {
        for (int at = 0; at < c->out_h * c->out_w; at++, gy += c->filters) {
            gradients_at(&d, x, w, gy, at / c->out_w, at % c->out_w, gw, gx);
        }
    }
    free(d.edge);
    return done;
}
