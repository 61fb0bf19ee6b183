// Convolution with its pool, and batch norm, for training on a CPU: what ebnn/train/arrays.py says, faster.
//
// Three things make it fast. Where input and weights are all -1 and +1, the sums are counted bits, as on the device. Of a pool
// window only the winner has a gradient, so the backward pass visits one position of each window and filter instead of
// all of them. And pixels are unfolded for a band of rows that stays in the first-level cache, never for a batch.
//
// Maps are (image, height, width, channel), filters (filter, kernel height, kernel width, channel). "Positions" are places
// of the kernel, "windows" those of the pool; without a pool a window is one position. All sizes were checked in Python.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX512VPOPCNTDQ__)
#include <immintrin.h>
#endif

#define LANES 16 // floats of a vector; the compiler cuts it up where the processor's are shorter
#define BAND_BYTES (32 << 10) // of unfolded pixels at once: two thirds of a usual first-level cache
#define WORD_BITS 32

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_at __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
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

static void *reserve(size_t bytes) {
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

static int frame_open(frame_t *f, const conv_t *c) {
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

static void frame_close(frame_t *f) {
    free(f->image);
    free(f->columns);
}

// One image into the frame, as floats.
static void take_image(const frame_t *f, const conv_t *c, const void *x, size_t index) {
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

// Where the kernel at the first window of a row begins in the image; the next windows are ``step`` floats apart.
static inline size_t origin(const frame_t *f, const conv_t *c, int y, int phase) {
    int row = (y * c->pool_h + phase / c->pool_w) * c->stride_h, column = phase % c->pool_w * c->stride_w;
    return (size_t)row * f->row + (size_t)column * c->channels;
}

static inline int step(const conv_t *c) {
    return c->pool_w * c->stride_w * c->channels;
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

// Kernel rows of a slice: all but the last have ``slice``.
static inline int slice_rows(const frame_t *f, const conv_t *c, int slice) {
    return least(f->slice, c->kernel_h - slice * f->slice);
}

static void unfold(const frame_t *f, const conv_t *c, int first, int rows, int slice) {
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

// ---- forward, floats: sums of P positions and V vectors of filters

#define SUMS(P, V) \
    static void sums_##P##_##V(const float *x, int stride, const float *w, int width, int taps, float *y) { \
        vec sum[P][V]; \
        for (int p = 0; p < P; p++) \
            for (int v = 0; v < V; v++) \
                sum[p][v] = load(y + p * width + v * LANES); \
        for (int k = 0; k < taps; k++) { \
            for (int v = 0; v < V; v++) { \
                vec weight = load(w + (size_t)k * width + v * LANES); \
                for (int p = 0; p < P; p++) \
                    sum[p][v] += x[p * stride + k] * weight; \
            } \
        } \
        for (int p = 0; p < P; p++) \
            for (int v = 0; v < V; v++) \
                store(y + p * width + v * LANES, sum[p][v]); \
    }
SUMS(8, 1)
SUMS(8, 2)
SUMS(1, 1)
SUMS(1, 2)

// Adds to ``sums`` (positions, width) what ``taps`` columns give; ``w`` is (tap, width), width in whole vectors.
static void float_sums(const frame_t *f, const float *w, int taps, int width, int positions, float *sums) {
    for (int p = 0; p < positions;) {
        int many = positions - p >= 8;
        const float *x = f->columns + (size_t)p * f->stride;
        float *y = sums + (size_t)p * width;
        for (int v = 0; v < width;) {
            if (width - v >= 2 * LANES) {
                (many ? sums_8_2 : sums_1_2)(x, f->stride, w + v, width, taps, y + v);
                v += 2 * LANES;
            } else {
                (many ? sums_8_1 : sums_1_1)(x, f->stride, w + v, width, taps, y + v);
                v += LANES;
            }
        }
        p += many ? 8 : 1;
    }
}

// ---- forward, bits

static inline uvec ones(uvec x) {
#if defined(__AVX512VPOPCNTDQ__)
    return (uvec)_mm512_popcnt_epi32((__m512i)x);
#else
    x -= (x >> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f;
    x += x >> 8;
    return (x + (x >> 16)) & 63;
#endif
}

// Signs of ``count`` floats as bits; 0 where one of them is neither -1 nor +1.
static int pack(const float *from, int count, uint32_t *to) {
    uint32_t unlike = 0;
    for (int start = 0; start < count; start += WORD_BITS) {
        int here = count - start < WORD_BITS ? count - start : WORD_BITS;
        uint32_t word = 0;
        for (int i = 0; i < here; i++) {
            uint32_t pattern;
            memcpy(&pattern, from + start + i, 4);
            unlike |= (pattern & 0x7fffffff) ^ 0x3f800000;
            word |= ((pattern >> 31) ^ 1) << i;
        }
        *to++ = word;
    }
    return !unlike;
}

static int pack_pixels(const float *from, int pixels, int channels, uint32_t *to) {
    int words = (channels + WORD_BITS - 1) / WORD_BITS, binary = 1;
    for (int i = 0; i < pixels; i++) {
        binary &= pack(from + (size_t)i * channels, channels, to + (size_t)i * words);
    }
    return binary;
}

typedef struct {
    int words, run, row; // of a pixel, of one kernel row, of an image's row
    uint32_t *image, *weights; // (padded pixel, word), (kernel row, word, filter)
} bits_t;

// Weights as bits, (word of the kernel, filter); 0 where they are not all -1 and +1.
static int pack_weights(bits_t *b, const conv_t *c, const float *w, int width) {
    int pixels = c->kernel_h * c->kernel_w, words = pixels * b->words, binary = 1;
    uint32_t *row = reserve(4 * (size_t)words);
    if (!row) {
        return 0;
    }
    for (int f = 0; f < c->filters && binary; f++) {
        binary = pack_pixels(w + (size_t)f * pixels * c->channels, pixels, c->channels, row);
        for (int i = 0; i < words; i++) {
            b->weights[(size_t)i * width + f] = row[i];
        }
    }
    free(row);
    return binary;
}

#define COUNTS(P) \
    static void counts_##P(const bits_t *b, const conv_t *c, const uint32_t *const *x, int v, int width, float *y) { \
        uvec found[P]; \
        for (int p = 0; p < P; p++) \
            found[p] = (uvec) { 0 }; \
        const uint32_t *w = b->weights + v; \
        for (int ky = 0; ky < c->kernel_h; ky++) { \
            for (int i = 0; i < b->run; i++, w += width) { \
                uvec weight; \
                memcpy(&weight, w, sizeof weight); \
                for (int p = 0; p < P; p++) \
                    found[p] += ones(x[p][ky * b->row + i] ^ weight); \
            } \
        } \
        int taps = c->kernel_h * c->kernel_w * c->channels; \
        for (int p = 0; p < P; p++) { \
            ivec sum = taps - 2 * (ivec)found[p]; \
            store(y + p * width, __builtin_convertvector(sum, vec)); \
        } \
    }
COUNTS(8)
COUNTS(1)

static void bit_sums(const frame_t *f, const bits_t *b, const conv_t *c, int first, int rows, int width, float *sums) {
    const uint32_t *at[8];
    int waiting = 0;
    for (int phase = 0; phase < f->phases; phase++) {
        for (int y = first; y < first + rows; y++) {
            const uint32_t *from = b->image + origin(f, c, y, phase) / c->channels * b->words;
            for (int x = 0; x < c->out_w; x++, from += c->pool_w * c->stride_w * b->words) {
                at[waiting++] = from;
                int last = phase == f->phases - 1 && y == first + rows - 1 && x == c->out_w - 1;
                if (waiting < 8 && !last) {
                    continue;
                }
                for (int v = 0; v < width; v += LANES) {
                    if (waiting == 8) {
                        counts_8(b, c, at, v, width, sums + v);
                    }
                    for (int p = 0; waiting < 8 && p < waiting; p++) {
                        counts_1(b, c, at + p, v, width, sums + (size_t)p * width + v);
                    }
                }
                sums += (size_t)waiting * width;
                waiting = 0;
            }
        }
    }
}

// ---- pool

typedef uint8_t byte_vec __attribute__((vector_size(LANES)));

// The maximum of each window and the first phase that reaches it; whole vectors, so ``y`` is (windows, width).
static void strongest(const float *sums, int phases, int windows, int width, float *y, uint8_t *winners) {
    size_t phase_size = (size_t)windows * width;
    for (size_t i = 0; i < phase_size; i += LANES) {
        vec best = load(sums + i);
        ivec winner = { 0 };
        for (int phase = 1; phase < phases; phase++) {
            vec sum = load(sums + phase * phase_size + i);
            ivec better = sum > best;
            best = (vec)(((ivec)sum & better) | ((ivec)best & ~better));
            winner = ((phase + (ivec) { 0 }) & better) | (winner & ~better);
        }
        store(y + i, best);
        byte_vec narrow = __builtin_convertvector(winner, byte_vec);
        memcpy(winners + i, &narrow, sizeof narrow);
    }
}

// Rows of ``filters`` elements out of rows of ``width``.
static void narrow(const void *from, int rows, int width, int filters, int size, void *to) {
    for (int i = 0; i < rows; i++) {
        memcpy((char *)to + (size_t)i * filters * size, (const char *)from + (size_t)i * width * size,
            (size_t)filters * size);
    }
}

// 1 on success, 0 without memory. ``x`` is (count, height, width, channels), ``w`` (filters, taps), ``y`` the pooled sums;
// ``winners``, of the same shape, says which position of the window they came from, and is NULL without a pool.
int ebnn_conv_forward(const conv_t *c, int count, const void *x, const float *w, float *y, uint8_t *winners) {
    frame_t f;
    int width = lanes_up(c->filters), done = 0;
    bits_t b = { .words = (c->channels + WORD_BITS - 1) / WORD_BITS };
    b.run = c->kernel_w * b.words;
    int ready = frame_open(&f, c);
    b.row = f.padded_w * b.words;
    size_t windows = (size_t)f.band * c->out_w, kernel_words = (size_t)c->kernel_h * b.run;
    float *tap_major = reserve(4 * (size_t)f.taps * width), *sums = reserve(4 * f.phases * windows * width);
    uint8_t *won = reserve(windows * width);
    b.image = reserve(4 * (size_t)f.padded_h * b.row);
    b.weights = reserve(4 * kernel_words * width);
    if (!ready || !tap_major || !sums || !won || !b.image || !b.weights) {
        goto end;
    }
    memset(tap_major, 0, 4 * (size_t)f.taps * width);
    memset(b.weights, 0, 4 * kernel_words * width);
    for (int i = 0; i < c->filters; i++) {
        for (int k = 0; k < f.taps; k++) {
            tap_major[(size_t)k * width + i] = w[(size_t)i * f.taps + k];
        }
    }
    int binary = !c->bytes && pack_weights(&b, c, w, width);
    size_t image_size = (size_t)c->out_h * c->out_w * c->filters;
    for (int n = 0; n < count; n++) {
        take_image(&f, c, x, n);
        int counted = binary && pack_pixels(f.image, f.padded_h * f.padded_w, c->channels, b.image);
        for (int first = 0; first < c->out_h; first += f.band) {
            int rows = c->out_h - first < f.band ? c->out_h - first : f.band, here = rows * c->out_w;
            if (counted) {
                bit_sums(&f, &b, c, first, rows, width, sums);
            } else {
                memset(sums, 0, 4 * (size_t)f.phases * here * width);
                for (int slice = 0; slice < f.slices; slice++) {
                    const float *weights = tap_major + (size_t)slice * f.slice * f.run * width;
                    unfold(&f, c, first, rows, slice);
                    float_sums(&f, weights, slice_rows(&f, c, slice) * f.run, width, f.phases * here, sums);
                }
            }
            size_t at = n * image_size + (size_t)first * c->out_w * c->filters;
            if (winners) {
                strongest(sums, f.phases, here, width, sums, won);
                narrow(won, here, width, c->filters, 1, winners + at);
            }
            narrow(sums, here, width, c->filters, sizeof *sums, y + at);
        }
    }
    done = 1;
end:
    frame_close(&f);
    free(tap_major);
    free(sums);
    free(won);
    free(b.image);
    free(b.weights);
    return done;
}

// ---- backward

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
