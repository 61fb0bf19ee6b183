// The gradients of a convolution with its pool.

#include "frame.h"

// gw[R filters][V vectors] += gradient * pixels of the winner, over the windows of a band
#define WEIGHTS(R, V) \
    static void weights_##R##_##V(const float *columns, size_t phase_size, int stride, int windows, const float *gy, \
        const uint8_t *winners, int filters, float *gw) { \
        vec sum[R][V]; \
        for (int r = 0; r < R; r++) \
            for (int v = 0; v < V; v++) \
                sum[r][v] = load(gw + r * stride + v * LANES); \
        for (int w = 0; w < windows; w++) { \
            for (int r = 0; r < R; r++) { \
                const float *x = columns + (size_t)w * stride; \
                if (winners) \
                    x += winners[(size_t)w * filters + r] * phase_size; \
                float g = gy[(size_t)w * filters + r]; \
                for (int v = 0; v < V; v++) \
                    sum[r][v] += g * load(x + v * LANES); \
            } \
        } \
        for (int r = 0; r < R; r++) \
            for (int v = 0; v < V; v++) \
                store(gw + r * stride + v * LANES, sum[r][v]); \
    }
#define WEIGHTS_FOR(V) WEIGHTS(1, V) WEIGHTS(4, V)
WEIGHTS_FOR(1)
WEIGHTS_FOR(2)
WEIGHTS_FOR(3)
WEIGHTS_FOR(4)
WEIGHTS_FOR(5)
typedef void (*weights_t)(const float *, size_t, int, int, const float *, const uint8_t *, int, float *);
static const weights_t WEIGHTS_OF[2][5] = {
    { weights_1_1, weights_1_2, weights_1_3, weights_1_4, weights_1_5 },
    { weights_4_1, weights_4_2, weights_4_3, weights_4_4, weights_4_5 },
};

static void weight_gradient(const frame_t *f, int windows, const float *gy, const uint8_t *winners, int filters,
    float *gw) {
    int vectors = f->stride / LANES, blocks = (vectors + 4) / 5, most = (vectors + blocks - 1) / blocks;
    size_t phase_size = (size_t)windows * f->stride;
    for (int start = 0; start < vectors; start += most) {
        int v = vectors - start < most ? vectors - start : most;
        for (int i = 0; i < filters;) {
            int four = filters - i >= 4;
            WEIGHTS_OF[four][v - 1](f->columns + start * LANES, phase_size, f->stride, windows, gy + i,
                winners ? winners + i : NULL, filters, gw + (size_t)i * f->stride + start * LANES);
            i += four ? 4 : 1;
        }
    }
}

// The filters of each window by the position that won: ``order`` (window, filter) and one more, which is written over;
// ``ends`` (window, phase).
static void sort_winners(const uint8_t *winners, int phases, int windows, int filters, uint16_t *order,
    uint16_t *ends) {
    for (int w = 0; w < windows; w++, winners += winners ? filters : 0, order += filters, ends += phases) {
        int count = 0;
        for (int phase = 0; phase < phases; phase++) {
            for (int i = 0; i < filters; i++) {
                order[count] = i;
                count += !winners || winners[i] == phase;
            }
            ends[phase] = count;
        }
    }
}

// columns = sum over the filters that won there of gradient * weights, V vectors of them
#define COLUMNS(V) \
    static void columns_##V(const uint16_t *order, int count, const float *gy, const float *w, int stride, \
        float *columns) { \
        vec sum[V]; \
        for (int v = 0; v < V; v++) \
            sum[v] = (vec) { 0 }; \
        for (int i = 0; i < count; i++) { \
            const float *weight = w + (size_t)order[i] * stride; \
            float g = gy[order[i]]; \
            for (int v = 0; v < V; v++) \
                sum[v] += g * load(weight + v * LANES); \
        } \
        for (int v = 0; v < V; v++) \
            store(columns + v * LANES, sum[v]); \
    }
COLUMNS(1)
COLUMNS(2)
COLUMNS(3)
COLUMNS(4)
COLUMNS(5)
COLUMNS(6)
COLUMNS(7)
COLUMNS(8)
COLUMNS(9)
COLUMNS(10)
typedef void (*columns_t)(const uint16_t *, int, const float *, const float *, int, float *);
static const columns_t COLUMNS_OF[] = { columns_1, columns_2, columns_3, columns_4, columns_5, columns_6, columns_7,
    columns_8, columns_9, columns_10 };

static void column_gradient(const frame_t *f, int windows, const float *gy, const uint16_t *order, const uint16_t *ends,
    int filters, const float *w, float *columns) {
    int vectors = f->stride / LANES, blocks = (vectors + 9) / 10, most = (vectors + blocks - 1) / blocks;
    size_t phase_size = (size_t)windows * f->stride;
    for (int start = 0; start < vectors; start += most) {
        columns_t run = COLUMNS_OF[least(vectors - start, most) - 1];
        const float *weights = w + start * LANES;
        for (int i = 0; i < windows; i++) {
            const uint16_t *first = order + (size_t)i * filters, *end = ends + (size_t)i * f->phases;
            float *to = columns + (size_t)i * f->stride + start * LANES;
            for (int phase = 0, from = 0; phase < f->phases; from = end[phase++], to += phase_size) {
                run(first + from, end[phase] - from, gy + (size_t)i * filters, weights, f->stride, to);
            }
        }
    }
}

static void fold_back(const frame_t *f, const conv_t *c, int first, int rows, int slice, const float *columns,
    float *image) {
    int kernel_rows = slice_rows(f, c, slice);
    image += (size_t)slice * f->slice * f->row;
    for (int phase = 0; phase < f->phases; phase++) {
        for (int y = first; y < first + rows; y++) {
            float *corner = image + origin(f, c, y, phase);
            for (int x = 0; x < c->out_w; x++, columns += f->stride, corner += step(c)) {
                float *to = corner;
                const float *from = columns;
                for (int ky = 0; ky < kernel_rows; ky++, to += f->row, from += f->run) {
                    int i = 0;
                    for (; i + LANES <= f->run; i += LANES) {
                        store(to + i, load(to + i) + load(from + i));
                    }
                    for (; i < f->run; i++) {
                        to[i] += from[i];
                    }
                }
            }
        }
    }
}

static void give_image(const frame_t *f, const conv_t *c, const float *image, float *gx) {
    int line = c->width * c->channels;
    for (int y = 0; y < c->height; y++) {
        memcpy(gx + (size_t)y * line, image + (size_t)(y + c->top) * f->row + c->left * c->channels, 4 * (size_t)line);
    }
}

// Between filters (filter, taps) and their slices (slice, filter, stride).
static void copy_slices(const frame_t *f, const conv_t *c, float *whole, float *sliced, int cut) {
    for (int slice = 0; slice < f->slices; slice++) {
        size_t bytes = sizeof(float) * slice_rows(f, c, slice) * f->run;
        for (int i = 0; i < c->filters; i++, sliced += f->stride) {
            float *at = whole + (size_t)i * f->taps + slice * f->slice * f->run;
            memcpy(cut ? sliced : at, cut ? at : sliced, bytes);
        }
    }
}

// Gradients: ``gw`` (filters, taps) and, unless NULL, ``gx``. 1 on success, 0 without memory.
int ebnn_conv_backward(const conv_t *c, int count, const void *x, const float *w, const float *gy,
    const uint8_t *winners, float *gw, float *gx) {
    frame_t f;
    int ready = frame_open(&f, c), done = 0;
    size_t filter_cells = (size_t)c->filters * f.stride, pixels = (size_t)f.padded_h * f.row;
    size_t windows = (size_t)f.band * c->out_w, cells = f.phases * windows * f.stride;
    float *sums = reserve(4 * f.slices * filter_cells), *weights = reserve(4 * f.slices * filter_cells);
    float *columns = gx ? reserve(4 * cells) : NULL, *image = gx ? reserve(4 * pixels) : NULL;
    uint16_t *order = reserve(2 * (windows * c->filters + 1)), *ends = reserve(2 * windows * f.phases);
    if (!ready || !sums || !weights || !order || !ends || (gx && (!columns || !image))) {
        goto end;
    }
    memset(sums, 0, 4 * f.slices * filter_cells);
    memset(weights, 0, 4 * f.slices * filter_cells);
    copy_slices(&f, c, (float *)w, weights, 1);
    size_t image_size = (size_t)c->out_h * c->out_w * c->filters;
    for (int n = 0; n < count; n++) {
        take_image(&f, c, x, n);
        if (gx) {
            memset(image, 0, 4 * pixels);
        }
        for (int first = 0; first < c->out_h; first += f.band) {
            int rows = least(c->out_h - first, f.band), here = rows * c->out_w;
            size_t at = n * image_size + (size_t)first * c->out_w * c->filters;
            const uint8_t *won = winners ? winners + at : NULL;
            if (gx) {
                sort_winners(won, f.phases, here, c->filters, order, ends);
            }
            for (int slice = 0; slice < f.slices; slice++) {
                unfold(&f, c, first, rows, slice);
                weight_gradient(&f, here, gy + at, won, c->filters, sums + slice * filter_cells);
                if (gx) {
                    column_gradient(&f, here, gy + at, order, ends, c->filters, weights + slice * filter_cells,
                        columns);
                    fold_back(&f, c, first, rows, slice, columns, image);
                }
            }
        }
        if (gx) {
            give_image(&f, c, image, gx + (size_t)n * c->height * c->width * c->channels);
        }
    }
    copy_slices(&f, c, gw, sums, 0);
    done = 1;
end:
    frame_close(&f);
    free(sums);
    free(weights);
    free(order);
    free(ends);
    free(columns);
    free(image);
    return done;
}
