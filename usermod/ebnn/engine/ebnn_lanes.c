// Convolution of bits for 16 positions at once ("four Russians"). Four input bits of the positions lie as nibbles in two
// words. A table holds, for each of the 16 patterns that four weights can have, how many of the four differ, for all
// positions in one go. A filter then takes one look-up and two additions for four taps of 16 positions; no core needs a
// popcount for it. The tables serve all filters, so the kernel wins as filters grow.
//
// Bounds: a nibble holds 3 look-ups (12 of 15), a byte 7 words (224 of 255), a 16-bit lane 32767 taps.

#include "ebnn_core.h"

#define TILE (EBNN_LANES_TILE)
#define TABLE_WORDS (EBNN_LANES_TABLE_BYTES / 4) // 8 groups of four bits, 16 patterns, 2 words
#define SUMS (EBNN_LANES_SUM_BYTES / 4) // words of sums of a filter: 16 lanes of 16 bits

typedef struct {
    const ebnn_run_t *run;
    uint32_t *sums; // SUMS words a filter
    uint32_t *table; // TABLE_WORDS a word of the chunk
    uint8_t *patches; // TILE patches, where a pixel is smaller than a word
    uint32_t chunk; // words of weights that the table holds
} lanes_t;

static uint32_t patch_bytes(const ebnn_node_t *node) {
    return node->word_pixels ? 0 : 4 * TILE * node->row_words;
}

static uint32_t fixed_bytes(const ebnn_node_t *node) {
    return 4 * SUMS * node->filters + patch_bytes(node);
}

uint32_t ebnn_lanes_scratch(const ebnn_node_t *node) {
    if (node->source != EBNN_SOURCE_CONV || node->input != EBNN_DTYPE_BITS || node->taps > EBNN_LANES_TAPS_MAX) {
        return UINT32_MAX;
    }
    return 4 * TABLE_WORDS + fixed_bytes(node);
}

// What a word of border holds: the channels of pixel part `part` as +1 or -1.
static uint32_t border_word(const ebnn_run_t *run, uint32_t part) {
    if (!(run->node->flags & EBNN_FLAG_BORDER_PLUS)) {
        return 0;
    }
    return UINT32_MAX >> (32 - ebnn_block(run->in->channels, 32 * part));
}

// Word `word` of the patch at a position, straight from a map whose pixels are whole words.
static uint32_t fetch_word(const ebnn_run_t *run, const ebnn_cursor_t *cursor, const uint32_t tap[3]) {
    const ebnn_window_t *kernel = &run->node->kernel;
    uint32_t y = cursor->y * kernel->stride_h + tap[0] - kernel->top;
    uint32_t x = cursor->x * kernel->stride_w + tap[1] - kernel->left;
    if (y >= run->in->height || x >= run->in->width) {
        return border_word(run, tap[2]);
    }
    uint32_t bits;
    memcpy(&bits, run->input + ((y * run->in->width + x) * (run->in_stride / 32) + tap[2]) * 4, 4);
    return bits;
}

// The same word of all positions of the tile.
static void fetch_words(const lanes_t *lanes, const ebnn_cursor_t *first, uint32_t count, uint32_t word, uint32_t *to) {
    const ebnn_run_t *run = lanes->run;
    memset(to, 0, 4 * TILE);
    if (lanes->patches != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            memcpy(&to[i], lanes->patches + 4 * (i * run->node->row_words + word), 4);
        }
        return;
    }
    uint32_t parts = run->in_stride / 32, pixel = word / parts;
    const uint32_t tap[3] = { pixel / run->node->kernel.width, pixel % run->node->kernel.width, word % parts };
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < count; i++) {
        to[i] = fetch_word(run, &cursor, tap);
        ebnn_cursor_next(run, &cursor);
    }
}

static inline void swap(uint32_t *a, uint32_t *b, uint32_t shift, uint32_t mask) {
    uint32_t t = (*a >> shift ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

// Transpose 8 words as an 8 x 8 matrix of nibbles.
static void transpose_nibbles(uint32_t *w) {
    for (uint32_t i = 0; i < 4; i++) {
        swap(&w[i], &w[i + 4], 16, 0x0000ffffUL);
    }
    for (uint32_t i = 0; i < 8; i += i & 1 ? 3 : 1) {
        swap(&w[i], &w[i + 2], 8, 0x00ff00ffUL);
    }
    for (uint32_t i = 0; i < 8; i += 2) {
        swap(&w[i], &w[i + 1], 4, 0x0f0f0f0fUL);
    }
}

// The 16 entries of a group for 8 positions: entry p counts where the bits differ from pattern p.
static void build_group(uint32_t *to, uint32_t v) {
    const uint32_t ones = 0x11111111UL;
    uint32_t d0 = v & ones, d1 = v >> 1 & ones, d2 = v >> 2 & ones, d3 = v >> 3 & ones;
    uint32_t e0 = ones - 2 * d0, e1 = ones - 2 * d1, e2 = ones - 2 * d2, e3 = ones - 2 * d3;
    uint32_t low[4] = { d0 + d1 + d2 + d3, 0, 0, 0 };
    low[1] = low[0] + e0;
    low[2] = low[0] + e1;
    low[3] = low[1] + e1;
    for (uint32_t p = 0; p < 4; p++, to += 2) {
        uint32_t both = low[p] + e2;
        to[0] = low[p];
        to[8] = both;
        to[16] = low[p] + e3;
        to[24] = both + e3;
    }
}

static void build_table(uint32_t *table, uint32_t *words) {
    transpose_nibbles(words);
    transpose_nibbles(words + 8);
    for (uint32_t group = 0; group < 8; group++, table += 32) {
        build_group(table, words[group]);
        build_group(table + 1, words[group + 8]);
    }
}

// Mismatches of one filter over a chunk, as 16 bytes: sum[0] positions 0 2 4 6, sum[1] 1 3 5 7, the others + 8.
#if defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_lanes_thumb2.h"
#else
static inline void sum_chunk(const uint32_t *w, const uint32_t *table, const uint32_t *end, uint32_t sum[4]) {
    const uint32_t low = 0x0f0f0f0fUL;
    uint32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (; table != end; table += TABLE_WORDS) {
        uint32_t bits = *w++;
        uint32_t n0 = 0, n1 = 0;
        for (uint32_t group = 0; group < 8; group++, bits >>= 4) {
            const uint32_t *entry = table + 32 * group + 2 * (bits & 15);
            n0 += entry[0];
            n1 += entry[1];
            if (group == 2 || group == 5 || group == 7) {
                a0 += n0 & low;
                a1 += n0 >> 4 & low;
                a2 += n1 & low;
                a3 += n1 >> 4 & low;
                n0 = n1 = 0;
            }
        }
    }
    sum[0] = a0;
    sum[1] = a1;
    sum[2] = a2;
    sum[3] = a3;
}
#endif

// Add the chunk from `word` on to the sums of every filter.
static void add_chunk(const lanes_t *lanes, uint32_t word, uint32_t words) {
    const ebnn_node_t *node = lanes->run->node;
    const uint32_t *w = (const uint32_t *)(const void *)lanes->run->weights + word;
    const uint32_t *end = lanes->table + words * TABLE_WORDS;
    uint32_t *to = lanes->sums;
    const uint32_t low = 0x00ff00ffUL;
    for (uint32_t f = node->filters; f != 0; f--, w += node->row_words, to += SUMS) {
        uint32_t sum[4];
        sum_chunk(w, lanes->table, end, sum);
        for (uint32_t i = 0; i < 4; i++) {
            to[2 * i] += sum[i] & low;
            to[2 * i + 1] += sum[i] >> 8 & low;
        }
    }
}

// The most mismatches with which a filter hits, -1 where it never does.
static int32_t limit(const ebnn_run_t *run, uint32_t filter) {
    int32_t taps = (int32_t)run->node->taps, threshold = ebnn_number(run->node, run->numbers, filter);
    if (threshold > taps) {
        return -1;
    }
    return threshold <= -taps ? taps : (taps - threshold) / 2;
}

// Hits of a filter: bit k and bit k + 16 for the two lanes of word k of its sums.
static uint32_t filter_hits(const uint32_t *sums, int32_t most) {
    uint32_t bias = (uint32_t)(most + 0x8000) * 0x10001UL, hits = 0;
    for (uint32_t i = 0; i < SUMS; i++) {
        hits |= (bias - sums[i]) >> (15 - i) & (0x10001UL << i);
    }
    return hits;
}

// Transpose a 16 x 16 matrix of bits in the low halves of 16 words, and another one in the high halves.
static void transpose_bits(uint32_t *w) {
    uint32_t mask = 0x00ff00ffUL;
    for (uint32_t step = 8; step != 0; step /= 2, mask ^= mask << step) {
        for (uint32_t i = 0; i < 16; i = (i + step + 1) & ~step) {
            swap(&w[i], &w[i + step], step, mask);
        }
    }
}

// Bits of up to 32 filters at all positions of the tile.
static void emit_block(const lanes_t *lanes, const ebnn_cursor_t *first, uint32_t count, uint32_t filter) {
    // Where the hit of position 0, 1, ... stands in what filter_hits gives, less 16 for the second lane of a word.
    static const uint8_t place[TILE] = { 0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15 };
    const ebnn_run_t *run = lanes->run;
    uint32_t rows[TILE], filters = ebnn_block(run->node->filters, filter);
    memset(rows, 0, sizeof(rows));
    for (uint32_t f = 0; f < filters; f++) {
        uint32_t hits = filter_hits(lanes->sums + SUMS * (filter + f), limit(run, filter + f));
        uint32_t pattern = (hits & 0xff) | (hits >> 8 & 0xff00);
        rows[f % 16] |= pattern << (f & 16);
    }
    transpose_bits(rows);
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < count; i++) {
        ebnn_emit(run, &cursor, filter, rows[place[i]]);
        ebnn_cursor_next(run, &cursor);
    }
}

static void gather_patches(const lanes_t *lanes, const ebnn_cursor_t *first, uint32_t count) {
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < count; i++) {
        ebnn_gather(lanes->run, &cursor, lanes->patches + 4 * i * lanes->run->node->row_words);
        ebnn_cursor_next(lanes->run, &cursor);
    }
}

void ebnn_lanes_run(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count) {
    const ebnn_node_t *node = run->node;
    uint32_t chunk = (node->scratch_size - fixed_bytes(node)) / (4 * TABLE_WORDS);
    lanes_t lanes = { run, (uint32_t *)(void *)run->scratch, NULL, NULL, chunk < EBNN_LANES_CHUNK_MAX ? chunk : EBNN_LANES_CHUNK_MAX };
    lanes.table = lanes.sums + SUMS * node->filters;
    if (patch_bytes(node) != 0) {
        lanes.patches = run->scratch + 4 * SUMS * node->filters;
        lanes.table += TILE * node->row_words;
        gather_patches(&lanes, first, count);
    }
    memset(lanes.sums, 0, 4 * SUMS * node->filters);
    for (uint32_t word = 0; word < node->row_words; word += lanes.chunk) {
        uint32_t words = node->row_words - word < lanes.chunk ? node->row_words - word : lanes.chunk;
        for (uint32_t i = 0; i < words; i++) {
            uint32_t same[TILE];
            fetch_words(&lanes, first, count, word + i, same);
            build_table(lanes.table + i * TABLE_WORDS, same);
        }
        add_chunk(&lanes, word, words);
    }
    for (uint32_t f = 0; f < node->filters; f += 32) {
        emit_block(&lanes, first, count, f);
    }
}
