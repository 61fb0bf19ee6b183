// What happens to maps between convolutions: pools of any window, batch norm, sign.

#include "frame.h"

// ---- max pooling with any window: sizes as in conv_t, of which only what a pool has is used; padding never counts

// Rows or columns of the input that a window at ``at`` covers: first and end, and how many of the window lie before the first.
static inline int covered(int at, int size, int kernel, int pad, int *first, int *end) {
    int start = at - pad;
    *first = start < 0 ? 0 : start;
    *end = least(start + kernel, size);
    return *first - start;
}

static void pool_one(const conv_t *c, const float *x, int oy, int ox, float *y, uint16_t *winners) {
    int top, bottom, left, right, channels = c->channels;
    int ky = covered(oy * c->stride_h, c->height, c->kernel_h, c->top, &top, &bottom);
    int kx = covered(ox * c->stride_w, c->width, c->kernel_w, c->left, &left, &right);
    for (int row = top; row < bottom; row++) {
        for (int column = left; column < right; column++) {
            const float *from = x + ((size_t)row * c->width + column) * channels;
            uint16_t tap = (ky + row - top) * c->kernel_w + kx + column - left;
            int begin = row == top && column == left;
            for (int i = 0; i < channels; i++) {
                int better = begin || from[i] > y[i];
                y[i] = better ? from[i] : y[i];
                winners[i] = better ? tap : winners[i];
            }
        }
    }
}

// ``winners`` is, for each output, the first tap of the window, row by row, that reached the maximum.
void ebnn_pool_forward(const conv_t *c, int count, const float *x, float *y, uint16_t *winners) {
    for (int n = 0; n < count; n++, x += (size_t)c->height * c->width * c->channels) {
        for (int oy = 0; oy < c->out_h; oy++) {
            for (int ox = 0; ox < c->out_w; ox++, y += c->channels, winners += c->channels) {
                pool_one(c, x, oy, ox, y, winners);
            }
        }
    }
}

void ebnn_pool_backward(const conv_t *c, int count, const float *gy, const uint16_t *winners, float *gx) {
    memset(gx, 0, sizeof *gx * count * c->height * c->width * c->channels);
    for (int n = 0; n < count; n++, gx += (size_t)c->height * c->width * c->channels) {
        for (int oy = 0; oy < c->out_h; oy++) {
            for (int ox = 0; ox < c->out_w; ox++, gy += c->channels, winners += c->channels) {
                for (int i = 0; i < c->channels; i++) {
                    int row = oy * c->stride_h - c->top + winners[i] / c->kernel_w;
                    int column = ox * c->stride_w - c->left + winners[i] % c->kernel_w;
                    gx[((size_t)row * c->width + column) * c->channels + i] += gy[i];
                }
            }
        }
    }
}

// ---- batch norm: ``x`` is (images, size) with ``channels`` values a pixel, and sums run along an image first, so that inner loops are long

// For each channel the sum over the pixels of one image-long row.
static void by_channel(const float *row, int size, int channels, double *sums) {
    for (int c = 0; c < channels; c++) {
        sums[c] = 0;
    }
    for (int i = 0; i < size; i += channels) {
        for (int c = 0; c < channels; c++) {
            sums[c] += row[i + c];
        }
    }
}

static void spread(const float *vector, int size, int channels, float *row) {
    for (int i = 0; i < size; i += channels) {
        memcpy(row + i, vector, 4 * (size_t)channels);
    }
}

// y = (x - mean) * gamma / sqrt(variance + eps) + beta with the mean and (biased) variance of the batch, which it returns.
// ``work`` holds 3 rows of ``size`` floats, ``sums`` a double a channel.
static void normalize(int images, int size, int channels, const float *x, const float *scale_shift[2], float eps,
    float *y, float *statistics[2], float *work, double *sums) {
    float *total = work, *mean = work + size, *scale = work + 2 * (size_t)size;
    double count = (double)images * (size / channels);
    memset(total, 0, 4 * (size_t)size);
    for (int n = 0; n < images; n++) {
        for (int i = 0; i < size; i++) {
            total[i] += x[(size_t)n * size + i];
        }
    }
    by_channel(total, size, channels, sums);
    for (int c = 0; c < channels; c++) {
        statistics[0][c] = (float)(sums[c] / count);
    }
    spread(statistics[0], size, channels, mean);
    memset(total, 0, 4 * (size_t)size);
    for (int n = 0; n < images; n++) {
        for (int i = 0; i < size; i++) {
            float deviation = x[(size_t)n * size + i] - mean[i];
            total[i] += deviation * deviation;
        }
    }
    by_channel(total, size, channels, sums);
    for (int c = 0; c < channels; c++) {
        statistics[1][c] = (float)(sums[c] / count);
        total[c] = scale_shift[0][c] / __builtin_sqrtf(statistics[1][c] + eps);
    }
    spread(total, size, channels, scale);
    spread(scale_shift[1], size, channels, total);
    for (int n = 0; n < images; n++) {
        for (int i = 0; i < size; i++) {
            size_t at = (size_t)n * size + i;
            y[at] = (x[at] - mean[i]) * scale[i] + total[i];
        }
    }
}

int ebnn_norm_forward(int images, int size, int channels, const float *x, const float *gamma, const float *beta,
    float eps, float *y, float *mean, float *variance) {
    float *work = reserve(12 * (size_t)size);
    double *sums = reserve(8 * (size_t)channels);
    if (work && sums) {
        normalize(images, size, channels, x, (const float *[]) { gamma, beta }, eps, y, (float *[]) { mean, variance },
            work, sums);
    }
    int done = work && sums;
    free(work);
    free(sums);
    return done;
}

// With n values a channel and u = (x - mean) * inverse: gx = gamma * inverse * (gy - sum(gy) / n - u * sum(gy * u) / n).
static void norm_gradient(int images, int size, int channels, const float *const in[5], float *gx, float *ggamma,
    float *gbeta, float *work, double *sums) {
    const float *x = in[0], *gy = in[1], *gamma = in[4];
    float *mean = work, *dot = work + size, *plain = work + 2 * (size_t)size;
    double count = (double)images * (size / channels);
    spread(in[2], size, channels, mean);
    memset(dot, 0, 8 * (size_t)size);
    for (int n = 0; n < images; n++) {
        for (int i = 0; i < size; i++) {
            size_t at = (size_t)n * size + i;
            plain[i] += gy[at];
            dot[i] += gy[at] * (x[at] - mean[i]);
        }
    }
    by_channel(dot, size, channels, sums);
    for (int c = 0; c < channels; c++) {
        ggamma[c] = (float)sums[c] * in[3][c];
    }
    by_channel(plain, size, channels, sums);
    for (int c = 0; c < channels; c++) {
        gbeta[c] = (float)sums[c];
    }
    float *factor = dot, *slope = plain, *level = work + 3 * (size_t)size;
    for (int i = 0; i < size; i++) {
        int c = i % channels;
        factor[i] = gamma[c] * in[3][c];
        slope[i] = (float)(factor[i] * in[3][c] * ggamma[c] / count);
        level[i] = (float)(factor[i] * gbeta[c] / count);
    }
    for (int n = 0; n < images; n++) {
        for (int i = 0; i < size; i++) {
            size_t at = (size_t)n * size + i;
            gx[at] = gy[at] * factor[i] - (x[at] - mean[i]) * slope[i] - level[i];
        }
    }
}

int ebnn_norm_backward(int images, int size, int channels, const float *x, const float *gy, const float *mean,
    const float *inverse, const float *gamma, float *gx, float *ggamma, float *gbeta) {
    float *work = reserve(16 * (size_t)size);
    double *sums = reserve(8 * (size_t)channels);
    if (work && sums) {
        norm_gradient(images, size, channels, (const float *const[]) { x, gy, mean, inverse, gamma }, gx, ggamma, gbeta,
            work, sums);
    }
    int done = work && sums;
    free(work);
    free(sums);
    return done;
}

// ---- sign

void ebnn_sign(size_t count, const float *x, float *y) {
    for (size_t i = 0; i < count; i++) {
        y[i] = x[i] >= 0 ? 1.0f : -1.0f;
    }
}

// gx = gy where |x| <= clip, else 0.
void ebnn_clipped(size_t count, const float *x, const float *gy, float clip, float *gx) {
    for (size_t i = 0; i < count; i++) {
        gx[i] = __builtin_fabsf(x[i]) <= clip ? gy[i] : 0.0f;
    }
}
