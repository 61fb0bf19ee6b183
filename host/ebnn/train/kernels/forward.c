// The sums of a convolution and the maximum of each pool window.

#include "frame.h"
#if defined(__AVX512VPOPCNTDQ__)
#include <immintrin.h>
#endif

#define WORD_BITS 32

typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));

// ---- floats: sums of P positions and V vectors of filters

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

// ---- bits

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
