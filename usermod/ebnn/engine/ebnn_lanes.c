// Convolution of bits for 16 positions at once ("four Russians"). Four input bits of the positions lie as nibbles in two
// words. A table holds, for each of the 16 patterns that four weights can have, how many of the four differ, for all
// positions in one go. A filter then takes one look-up and two additions for four taps of 16 positions; no core needs a
// popcount for it. The tables serve all filters, so the kernel wins as filters grow.
//
// Bounds: a nibble holds 3 look-ups (12 of 15), a byte 7 words (224 of 255), a 16-bit lane 32767 taps and the start.

#include "ebnn_core.h"

#ifdef EBNN_WITH_LANES

#define LANES_TILE (EBNN_LANES_TILE)
#define TABLE_WORDS (EBNN_LANES_TABLE_BYTES / 4) // 8 groups of four bits, 16 patterns, 2 words
#define LANES_SUMS (EBNN_LANES_SUM_BYTES / 4) // words of sums of a filter: 16 lanes of 16 bits

typedef struct {
    const ebnn_run_t *run;
    uint32_t *words; // LANES_TILE words: one word of the patch at each position; at the end LANES_TILE rows of bits
    int32_t *places; // LANES_TILE words: where each position's patch starts in the input, in bytes
    uint32_t *sums; // LANES_SUMS words a filter
    uint32_t *patches; // LANES_TILE patches, where a pixel is smaller than a word
    uint32_t *table; // TABLE_WORDS a word of the chunk
    ebnn_origin_t origin; // of the first position
    int32_t top, left, bottom, right; // what the first taps of all positions keep within
    uint32_t ky, kx, part, word; // the next word of the patches
    uint32_t count; // positions of the tile
} lanes_t;

// Where position i is among the nibbles; thus hits come out in the order of the map (filter_hits). Its own inverse.
static const uint8_t slots[LANES_TILE] = { 0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15 };

static uint32_t patch_words(const ebnn_node_t *node) {
    return node->word_pixels ? 0 : LANES_TILE * node->row_words;
}

static uint32_t fixed_bytes(const ebnn_node_t *node) {
    return EBNN_LANES_TILE_BYTES + EBNN_LANES_SUM_BYTES * node->filters + 4 * patch_words(node);
}

uint32_t ebnn_lanes_scratch(const ebnn_node_t *node) {
    if (node->input != EBNN_DTYPE_BITS || node->taps > EBNN_LANES_TAPS_MAX) {
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

// The next word of every patch where one of them may lie outside of the input.
static void fetch_lanes_with_border(const lanes_t *lanes, int32_t place) {
    const ebnn_run_t *run = lanes->run;
    uint32_t border = border_word(run, lanes->part);
    ebnn_origin_t origin = lanes->origin;
    for (uint32_t i = 0; i < lanes->count; i++) {
        uint32_t slot = slots[i], y = (uint32_t)origin.y + lanes->ky, x = (uint32_t)origin.x + lanes->kx;
        int inside = y < run->in->height && x < run->in->width;
        lanes->words[slot] = inside ? ebnn_load(run->input + (lanes->places[slot] + place)) : border;
        ebnn_origin_next(run, &origin);
    }
}

// The next word of every patch, straight from a map whose pixels are whole words.
static void fetch_from_map(lanes_t *lanes) {
    const ebnn_run_t *run = lanes->run;
    int32_t ky = (int32_t)lanes->ky, kx = (int32_t)lanes->kx;
    int32_t place = (int32_t)(lanes->ky * (run->pitch / 8) + lanes->kx * (run->in_stride / 8) + 4 * lanes->part);
    if (lanes->top + ky >= 0 && lanes->bottom + ky < run->in->height && lanes->left + kx >= 0
        && lanes->right + kx < run->in->width && (uintptr_t)run->input % 4 == 0) {
        const uint8_t *input = run->input + place;
        const int32_t *places = lanes->places;
#define FETCH(i) (to[i] = ebnn_swap(*(const uint32_t *)(const void *)(input + places[i])))
        for (uint32_t *to = lanes->words, *end = to + LANES_TILE; to != end; to += 8, places += 8) {
            FETCH(0), FETCH(1), FETCH(2), FETCH(3), FETCH(4), FETCH(5), FETCH(6), FETCH(7);
        }
#undef FETCH
    } else {
        fetch_lanes_with_border(lanes, place);
    }
    if (++lanes->part == run->in_stride / 32) {
        lanes->part = 0;
        if (++lanes->kx == run->node->kernel.width) {
            lanes->kx = 0;
            lanes->ky++;
        }
    }
}

static void fetch_words(lanes_t *lanes) {
    if (lanes->patches == NULL) {
        fetch_from_map(lanes);
        return;
    }
    uint32_t words = lanes->run->node->row_words;
    const uint32_t *patch = lanes->patches + lanes->word++;
    for (uint32_t i = 0; i < LANES_TILE; i++, patch += words) {
        lanes->words[i] = ebnn_swap(*patch);
    }
}

static inline void swap(uint32_t *a, uint32_t *b, uint32_t shift, uint32_t mask) {
    uint32_t t = (*a >> shift ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

// Transpose 8 words as an 8 x 8 matrix of nibbles.
static void transpose_nibbles(uint32_t *w) {
    uint32_t a = w[0], b = w[1], c = w[2], d = w[3], e = w[4], f = w[5], g = w[6], h = w[7];
    swap(&a, &e, 16, 0x0000ffffUL), swap(&b, &f, 16, 0x0000ffffUL);
    swap(&c, &g, 16, 0x0000ffffUL), swap(&d, &h, 16, 0x0000ffffUL);
    swap(&a, &c, 8, 0x00ff00ffUL), swap(&b, &d, 8, 0x00ff00ffUL);
    swap(&e, &g, 8, 0x00ff00ffUL), swap(&f, &h, 8, 0x00ff00ffUL);
    swap(&a, &b, 4, 0x0f0f0f0fUL), swap(&c, &d, 4, 0x0f0f0f0fUL);
    swap(&e, &f, 4, 0x0f0f0f0fUL), swap(&g, &h, 4, 0x0f0f0f0fUL);
    w[0] = a, w[1] = b, w[2] = c, w[3] = d, w[4] = e, w[5] = f, w[6] = g, w[7] = h;
}

// Entry p of a group counts where the bits differ from pattern p. The bits are taken doubled, as the steps want them.
static inline ebnn_steps_t group_steps(uint32_t v) {
    const uint32_t ones = 0x11111111UL, twos = 0x22222222UL;
    uint32_t a = v << 1 & twos, b = v & twos, c = v >> 1 & twos, d = v >> 2 & twos;
    ebnn_steps_t steps = { (a + b + c + d) >> 1, { ones - a, ones - b, ones - c, ones - d } };
    return steps;
}

static void build_lane_table(uint32_t *table, uint32_t *words) {
    for (uint32_t *half = words; half != words + LANES_TILE; half += 8) {
        transpose_nibbles(half);
    }
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
#define FIND(index) (entry = (const uint32_t *)(const void *)((const uint8_t *)table + ((index) & 15 << 3)))
#define FIRST(group, index) (FIND(index), n0 = entry[32 * (group)], n1 = entry[32 * (group) + 1])
#define NEXT(group, index) (FIND(index), n0 += entry[32 * (group)], n1 += entry[32 * (group) + 1])
#define WIDEN() (a0 += n0 & nibbles, a1 += n0 >> 4 & nibbles, a2 += n1 & nibbles, a3 += n1 >> 4 & nibbles)
    do {
        bits = ebnn_swap(*w++);
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
static inline void add_lane_filters(const ebnn_chunk_t *chunk) {
    const uint32_t *w = (const uint32_t *)chunk->weights, *table = chunk->table, *end = chunk->end;
    uint32_t row = (uint32_t)(end - table) / TABLE_WORDS + chunk->next / 4;
    for (uint32_t *sums = chunk->sums; sums != chunk->last; sums += LANES_SUMS, w += row) {
        add_filter(w, table, end, sums);
    }
}
#endif

// Add a chunk to the sums of every filter.
static void add_chunk(const lanes_t *lanes, uint32_t word, uint32_t words) {
    const ebnn_node_t *node = lanes->run->node;
    const ebnn_chunk_t chunk = {
        lanes->run->weights + 4 * word,
        lanes->table,
        lanes->sums,
        lanes->sums + LANES_SUMS * node->filters,
        4 * (node->row_words - words),
        lanes->table + words * TABLE_WORDS,
    };
    add_lane_filters(&chunk);
}

// Hits of a filter at the positions of the tile: bits k and k + 8 for the two lanes of word k of its sums.
static inline uint32_t filter_hits(const uint32_t *sums) {
    uint32_t misses = 0;
#define TAKE(k) (misses = misses >> 1 | (sums[k] & 0x80008000UL))
    TAKE(0), TAKE(1), TAKE(2), TAKE(3), TAKE(4), TAKE(5), TAKE(6), TAKE(7);
#undef TAKE
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

const uint32_t *ebnn_lanes_hits(const ebnn_run_t *run, uint32_t filter) {
    uint32_t *rows = (uint32_t *)(void *)run->scratch, filters = ebnn_block(run->node->filters, filter);
    const uint32_t *sums = rows + EBNN_LANES_TILE_BYTES / 4 + LANES_SUMS * filter;
    for (uint32_t f = 0; f < 16; f++, sums += LANES_SUMS) {
        rows[f] = f < filters ? filter_hits(sums) : 0;
        if (f + 16 < filters) {
            rows[f] |= filter_hits(sums + 16 * LANES_SUMS) << 16;
        }
    }
    transpose_bits(rows);
    return rows;
}

// The sums start where a miss sets the uppermost bit of its lane.
static void start_sums(const lanes_t *lanes) {
    uint32_t *to = lanes->sums;
    int32_t taps = (int32_t)lanes->run->node->taps;
    for (uint32_t f = 0; f < lanes->run->node->filters; f++) {
        int32_t most = (taps - ebnn_threshold(lanes->run, f)) >> 1; // mismatches with which it hits
        uint32_t start = (uint32_t)(0x7fff - most) * 0x10001UL;
        to[0] = to[1] = to[2] = to[3] = to[4] = to[5] = to[6] = to[7] = start;
        to += LANES_SUMS;
    }
}

// Where on the input the positions begin. Found anew after each poll: what runs there may write to the arena, and no
// address may come from what it wrote.
static void find_places(const lanes_t *lanes) {
    const ebnn_run_t *run = lanes->run;
    ebnn_origin_t origin = lanes->origin;
    for (uint32_t i = 0; lanes->patches == NULL && i < LANES_TILE; i++) {
        if (i == lanes->count) {
            origin = lanes->origin;
        }
        lanes->places[slots[i]] = origin.y * (int32_t)(run->pitch / 8) + origin.x * (int32_t)(run->in_stride / 8);
        if (i < lanes->count) {
            ebnn_origin_next(run, &origin);
        }
    }
}

// Where the patches start, and the patches themselves where pixels are smaller than words. Nibbles of no position do as
// the first one does.
static void start_lanes(lanes_t *lanes) {
    const ebnn_run_t *run = lanes->run;
    ebnn_origin_t origin = lanes->origin;
    uint32_t words = run->node->row_words;
    lanes->top = origin.y;
    lanes->left = lanes->right = origin.x;
    for (uint32_t i = 0; i < LANES_TILE; i++) {
        if (i == lanes->count) {
            origin = lanes->origin;
        }
        lanes->bottom = i < lanes->count ? origin.y : lanes->bottom;
        lanes->left = origin.x < lanes->left ? origin.x : lanes->left;
        lanes->right = origin.x > lanes->right ? origin.x : lanes->right;
        uint32_t slot = slots[i];
        if (lanes->patches != NULL) {
            ebnn_gather(run, &origin, (uint8_t *)(lanes->patches + slot * words));
        }
        if (i < lanes->count) {
            ebnn_origin_next(run, &origin);
        }
    }
    find_places(lanes);
    start_sums(lanes);
}

// What a word of a filter costs a tile, as EBNN_POLL_WORK counts.
#define WORD_WORK 100

int ebnn_lanes_sum(const ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t count) {
    const ebnn_node_t *node = run->node;
    uint32_t chunk = (run->scratch_size - fixed_bytes(node)) / EBNN_LANES_TABLE_BYTES;
    uint32_t *words = (uint32_t *)(void *)run->scratch;
    lanes_t lanes;
    lanes.run = run;
    lanes.words = words;
    lanes.places = (int32_t *)(void *)(words + LANES_TILE);
    lanes.sums = words + EBNN_LANES_TILE_BYTES / 4;
    lanes.table = words + fixed_bytes(node) / 4;
    lanes.origin = ebnn_origin(run, cursor);
    lanes.ky = lanes.kx = lanes.part = lanes.word = 0;
    lanes.count = count;
    lanes.patches = patch_words(node) == 0 ? NULL : lanes.table - patch_words(node);
    chunk = chunk < EBNN_LANES_CHUNK_MAX ? chunk : EBNN_LANES_CHUNK_MAX;
    start_lanes(&lanes);
    for (uint32_t word = 0, work = 0; word < node->row_words; word += chunk) {
        uint32_t part = node->row_words - word < chunk ? node->row_words - word : chunk;
        work += part * node->filters * WORD_WORK;
        if (work >= EBNN_POLL_WORK) {
            work = 0;
            if (ebnn_poll(run)) {
                return 1;
            }
            find_places(&lanes);
        }
        for (uint32_t i = 0; i < part; i++) {
            fetch_words(&lanes);
            build_lane_table(lanes.table + i * TABLE_WORDS, lanes.words);
        }
        add_chunk(&lanes, word, part);
    }
    return 0;
}

#endif
