// Convolution of bits for 16 positions at once ("four Russians"). Four input bits of the positions lie as nibbles in two
// words. A table holds, for each of the 16 patterns that four weights can have, how many of the four differ, for all
// positions in one go. A filter then takes one look-up and two additions for four taps of 16 positions; no core needs a
// popcount for it. The tables serve all filters, so the kernel wins as filters grow.
//
// Bounds: a nibble holds 3 look-ups (12 of 15), a byte 7 words (224 of 255), a 16-bit lane 32767 taps and the start.

#include "ebnn_core.h"

#ifndef EBNN_HAS_POPCOUNT // the plain kernel is better there

#define TILE (EBNN_LANES_TILE)
#define TABLE_WORDS (EBNN_LANES_TABLE_BYTES / 4) // 8 groups of four bits, 16 patterns, 2 words
#define SUMS (EBNN_LANES_SUM_BYTES / 4) // words of sums of a filter: 16 lanes of 16 bits

typedef struct {
    const ebnn_run_t *run;
    uint32_t *words; // TILE words: one word of the patch at each position; at the end TILE rows of bits
    int16_t *origin; // TILE pairs y, x: where the kernel's first tap reads
    uint32_t *sums; // SUMS words a filter
    uint8_t *patches; // TILE patches, where a pixel is smaller than a word
    uint32_t *table; // TABLE_WORDS a word of the chunk
    uint32_t chunk; // words of weights that the table holds
    uint32_t count; // positions of the tile
} lanes_t;

static uint32_t patch_bytes(const ebnn_node_t *node) {
    return node->word_pixels ? 0 : 4 * TILE * node->row_words;
}

static uint32_t fixed_bytes(const ebnn_node_t *node) {
    return EBNN_LANES_TILE_BYTES + EBNN_LANES_SUM_BYTES * node->filters + patch_bytes(node);
}

uint32_t ebnn_lanes_scratch(const ebnn_node_t *node) {
    if ((uint32_t)node->map_h * node->kernel.stride_h > EBNN_LANES_REACH_MAX
        || (uint32_t)node->map_w * node->kernel.stride_w > EBNN_LANES_REACH_MAX) {
        return UINT32_MAX;
    }
    if (node->source != EBNN_SOURCE_CONV || node->input != EBNN_DTYPE_BITS || node->taps > EBNN_LANES_TAPS_MAX) {
        return UINT32_MAX;
    }
    return EBNN_LANES_TABLE_BYTES + fixed_bytes(node);
}

// What a word of border holds: the channels of pixel part `part` as +1 or -1.
static uint32_t border_word(const ebnn_run_t *run, uint32_t part) {
    if (!(run->node->flags & EBNN_FLAG_BORDER_PLUS)) {
        return 0;
    }
    return UINT32_MAX >> (32 - ebnn_block(run->in->channels, 32 * part));
}

// A word of a map; only the input of the network may be misaligned.
static inline uint32_t load(const uint8_t *p) {
    return (uintptr_t)p % 4 == 0 ? ebnn_word((const uint32_t *)(const void *)p) : ebnn_get_bits(p, 0, 32);
}

// Word `word` of the patch of every position, straight from a map whose pixels are whole words.
static void fetch_from_map(const lanes_t *lanes, uint32_t word) {
    const ebnn_run_t *run = lanes->run;
    uint32_t parts = run->in_stride / 32, pixel = word / parts, part = word % parts;
    uint32_t ky = pixel / run->node->kernel.width, kx = pixel % run->node->kernel.width;
    uint32_t height = run->in->height, width = run->in->width, border = border_word(run, part);
    const uint8_t *input = run->input + 4 * part;
    const int16_t *origin = lanes->origin;
    for (uint32_t i = 0; i < lanes->count; i++) {
        uint32_t y = (uint32_t)*origin++ + ky, x = (uint32_t)*origin++ + kx;
        lanes->words[i] = y < height && x < width ? load(input + 4 * parts * (y * width + x)) : border;
    }
}

static void fetch_words(const lanes_t *lanes, uint32_t word) {
    if (lanes->patches == NULL) {
        fetch_from_map(lanes, word);
        return;
    }
    uint32_t words = lanes->run->node->row_words;
    const uint32_t *patch = (const uint32_t *)(const void *)lanes->patches + word;
    for (uint32_t i = 0; i < lanes->count; i++, patch += words) {
        lanes->words[i] = ebnn_word(patch);
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

// Entry p of a group counts where the bits differ from pattern p.
static inline ebnn_steps_t group_steps(uint32_t v) {
    const uint32_t ones = 0x11111111UL;
    uint32_t a = v & ones, b = v >> 1 & ones, c = v >> 2 & ones, d = v >> 3 & ones;
    ebnn_steps_t steps = { a + b + c + d, { ones - 2 * a, ones - 2 * b, ones - 2 * c, ones - 2 * d } };
    return steps;
}

static void build_table(uint32_t *table, uint32_t *words) {
    transpose_nibbles(words);
    transpose_nibbles(words + 8);
    for (uint32_t group = 0; group < 8; group++, table += 32) {
        const ebnn_steps_t a = group_steps(words[group]), b = group_steps(words[group + 8]);
        ebnn_build_entries(table, &a, &b);
    }
}

// Add the mismatches of one filter over a chunk to its sums. Bytes hold positions 0 2 4 6, 1 3 5 7, and the same + 8.
#if defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_lanes_thumb2.h"
#else
static inline void widen(uint32_t *sums, uint32_t bytes) {
    const uint32_t mask = 0x00ff00ffUL;
    sums[0] += bytes & mask;
    sums[1] += bytes >> 8 & mask;
}

static inline void add_filter(const uint32_t *w, const uint32_t *table, const uint32_t *end, uint32_t *sums) {
    const uint32_t nibbles = 0x0f0f0f0fUL, *entry;
    uint32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, n0, n1, bits;
// Written out, because a loop over the groups costs more than what it does.
#define FIND(index) (entry = (const void *)((const uint8_t *)table + ((index) & 15 << 3)))
#define FIRST(group, index) (FIND(index), n0 = entry[32 * (group)], n1 = entry[32 * (group) + 1])
#define NEXT(group, index) (FIND(index), n0 += entry[32 * (group)], n1 += entry[32 * (group) + 1])
#define WIDEN() (a0 += n0 & nibbles, a1 += n0 >> 4 & nibbles, a2 += n1 & nibbles, a3 += n1 >> 4 & nibbles)
    do {
        bits = ebnn_word(w++);
        FIRST(0, bits << 3), NEXT(1, bits >> 1), NEXT(2, bits >> 5), WIDEN();
        FIRST(3, bits >> 9), NEXT(4, bits >> 13), NEXT(5, bits >> 17), WIDEN();
        FIRST(6, bits >> 21), NEXT(7, bits >> 25), WIDEN();
        table += TABLE_WORDS;
    } while (table != end);
#undef FIND
#undef FIRST
#undef NEXT
#undef WIDEN
    widen(sums, a0);
    widen(sums + 2, a1);
    widen(sums + 4, a2);
    widen(sums + 6, a3);
}
#endif

#if defined(__thumb__) && !defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_lanes_thumb1.h"
#else
static inline void add_filters(const ebnn_chunk_t *chunk) {
    const uint32_t *w = chunk->weights, *table = chunk->table, *end = chunk->end;
    uint32_t row = (uint32_t)(end - table) / TABLE_WORDS + chunk->skip / 4;
    for (uint32_t *sums = chunk->sums; sums != chunk->last; sums += SUMS, w += row) {
        add_filter(w, table, end, sums);
    }
}
#endif

// Add the chunk from `word` on to the sums of every filter.
static void add_chunk(const lanes_t *lanes, uint32_t word, uint32_t words) {
    const ebnn_node_t *node = lanes->run->node;
    const ebnn_chunk_t chunk = {
        .weights = lanes->run->weights + 4 * word,
        .table = lanes->table,
        .end = lanes->table + words * TABLE_WORDS,
        .sums = lanes->sums,
        .last = lanes->sums + SUMS * node->filters,
        .skip = 4 * (node->row_words - words),
    };
    add_filters(&chunk);
}

// Hits of a filter: bit k and bit k + 8 for the two lanes of word k of its sums.
static uint32_t filter_hits(const uint32_t *sums) {
    uint32_t misses = 0;
    for (uint32_t i = 0; i < SUMS; i++) {
        misses = misses >> 1 | (sums[i] & 0x80008000UL);
    }
    return (~misses >> 8 & 0xff) | (~misses >> 16 & 0xff00);
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
static void emit_block(const lanes_t *lanes, const ebnn_cursor_t *first, uint32_t filter) {
    // Which bit of a pattern is position 0, 1, ...: the order in which add_chunk widens bytes.
    static const uint8_t place[TILE] = { 0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15 };
    const ebnn_run_t *run = lanes->run;
    uint32_t *rows = lanes->words, filters = ebnn_block(run->node->filters, filter);
    memset(rows, 0, 4 * TILE);
    for (uint32_t f = 0; f < filters; f++) {
        rows[f % 16] |= filter_hits(lanes->sums + SUMS * (filter + f)) << (f & 16);
    }
    transpose_bits(rows);
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < lanes->count; i++) {
        ebnn_emit(run, &cursor, filter, rows[place[i]]);
        ebnn_cursor_next(run, &cursor);
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

// The sums start where a miss sets the uppermost bit of its lane.
static void start_sums(const lanes_t *lanes) {
    uint32_t *to = lanes->sums;
    for (uint32_t f = 0; f < lanes->run->node->filters; f++) {
        uint32_t start = (uint32_t)(0x7fff - limit(lanes->run, f)) * 0x10001UL;
        for (uint32_t *end = to + SUMS; to != end; to++) {
            *to = start;
        }
    }
}

// Where the kernel lies at each position, and the patches where pixels are smaller than words.
static void start_tile(const lanes_t *lanes, const ebnn_cursor_t *first) {
    const ebnn_window_t *kernel = &lanes->run->node->kernel;
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < lanes->count; i++) {
        lanes->origin[2 * i] = (int16_t)(cursor.y * kernel->stride_h - kernel->top);
        lanes->origin[2 * i + 1] = (int16_t)(cursor.x * kernel->stride_w - kernel->left);
        if (lanes->patches != NULL) {
            ebnn_gather(lanes->run, &cursor, lanes->patches + 4 * i * lanes->run->node->row_words);
        }
        ebnn_cursor_next(lanes->run, &cursor);
    }
    memset(lanes->words, 0, 4 * TILE);
    start_sums(lanes);
}

void ebnn_lanes_run(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count) {
    const ebnn_node_t *node = run->node;
    uint32_t chunk = (node->scratch_size - fixed_bytes(node)) / EBNN_LANES_TABLE_BYTES;
    uint32_t *words = (uint32_t *)(void *)run->scratch;
    lanes_t lanes = {
        .run = run,
        .words = words,
        .origin = (int16_t *)(void *)(words + TILE),
        .sums = words + 2 * TILE,
        .chunk = chunk < EBNN_LANES_CHUNK_MAX ? chunk : EBNN_LANES_CHUNK_MAX,
        .count = count,
    };
    lanes.table = lanes.sums + SUMS * node->filters;
    if (patch_bytes(node) != 0) {
        lanes.patches = (uint8_t *)lanes.table;
        lanes.table += TILE * node->row_words;
    }
    start_tile(&lanes, first);
    for (uint32_t word = 0; word < node->row_words; word += lanes.chunk) {
        uint32_t part = node->row_words - word < lanes.chunk ? node->row_words - word : lanes.chunk;
        for (uint32_t i = 0; i < part; i++) {
            fetch_words(&lanes, word + i);
            build_table(lanes.table + i * TABLE_WORDS, lanes.words);
        }
        add_chunk(&lanes, word, part);
    }
    for (uint32_t f = 0; f < node->filters; f += 32) {
        emit_block(&lanes, first, f);
    }
}

#endif
