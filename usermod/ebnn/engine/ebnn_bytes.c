// Convolution of bytes for 4 positions at once. Four input bytes of the positions lie as 16-bit lanes in two words each; a
// table holds their sums with the signs of each of the 16 patterns that four weights can have. A filter then takes one
// look-up and two additions for four taps of 4 positions.
//
// Bound: a sum of 128 taps stays within 16 bits (128 * 255 = 32640). A negative lane borrows from its upper neighbour,
// which taking it out gives back.

#include "ebnn_core.h"

#define TILE (EBNN_BYTES_TILE)
#define TABLE_WORDS (EBNN_BYTES_TABLE_BYTES / 4) // 8 groups of four taps, 16 patterns, 2 words
#define GROUP_WORDS (TABLE_WORDS / 8)
#define SUMS (EBNN_BYTES_SUM_BYTES / 4)

typedef struct {
    const ebnn_run_t *run;
    uint32_t *sums; // SUMS words a filter
    uint8_t *patches; // TILE patches of row_words * 32 bytes, the taps and zeros
    uint32_t *table; // TABLE_WORDS a word of the chunk
    uint32_t patch; // bytes of a patch
    uint32_t chunk; // words of weights that the table holds
} bytes_t;

static uint32_t patch_bytes(const ebnn_node_t *node) {
    return (node->taps + 3) / 4 * 4;
}

static uint32_t fixed_bytes(const ebnn_node_t *node) {
    return EBNN_BYTES_SUM_BYTES * node->filters + TILE * patch_bytes(node);
}

uint32_t ebnn_bytes_scratch(const ebnn_node_t *node) {
    if (node->source != EBNN_SOURCE_CONV || node->input != EBNN_DTYPE_U8 || node->taps > EBNN_BYTES_TAPS_MAX) {
        return UINT32_MAX;
    }
    return EBNN_BYTES_TABLE_BYTES + fixed_bytes(node);
}

// Entry p of a group: the sum of the four taps, each with the sign that its bit in p says.
static void build_group(uint32_t *to, const uint32_t v[8]) {
    uint32_t n0 = 0 - (v[0] + v[2] + v[4] + v[6]), n1 = 0 - (v[1] + v[3] + v[5] + v[7]);
    const uint32_t a[4] = { 2 * v[0], 2 * v[2], 2 * v[4], 2 * v[6] }, b[4] = { 2 * v[1], 2 * v[3], 2 * v[5], 2 * v[7] };
#define ENTRY(p) (to[2 * (p)] = n0, to[2 * (p) + 1] = n1)
#define PLUS(i) (n0 += a[i], n1 += b[i])
#define LESS(i) (n0 -= a[i], n1 -= b[i])
    ENTRY(0), PLUS(0), ENTRY(1), PLUS(1), ENTRY(3), LESS(0), ENTRY(2), PLUS(2), ENTRY(6), PLUS(0), ENTRY(7);
    LESS(1), ENTRY(5), LESS(0), ENTRY(4), PLUS(3), ENTRY(12), PLUS(0), ENTRY(13), PLUS(1), ENTRY(15), LESS(0);
    ENTRY(14), LESS(2), ENTRY(10), PLUS(0), ENTRY(11), LESS(1), ENTRY(9), LESS(0), ENTRY(8);
#undef ENTRY
#undef PLUS
#undef LESS
}

// The table of the groups from `group` on; groups behind the last tap are only asked for pattern 0.
static void build_table(const bytes_t *bytes, uint32_t *table, uint32_t group) {
    const uint8_t *x = bytes->patches + 4 * group;
    for (uint32_t g = 0; g < 8; g++, x += 4, table += GROUP_WORDS) {
        if (4 * (group + g) >= bytes->patch) {
            table[0] = table[1] = 0;
            continue;
        }
        uint32_t v[8];
        for (uint32_t tap = 0; tap < 4; tap++) {
            const uint8_t *p = x + tap;
            v[2 * tap] = p[0] | (uint32_t)p[bytes->patch] << 16;
            v[2 * tap + 1] = p[2 * bytes->patch] | (uint32_t)p[3 * bytes->patch] << 16;
        }
        build_group(table, v);
    }
}

#if defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_bytes_thumb2.h"
#else
static inline void sum_chunk(const uint32_t *w, const uint32_t *table, const uint32_t *end, uint32_t sum[2]) {
    uint32_t a0 = sum[0], a1 = sum[1];
    for (; table != end; table += TABLE_WORDS) {
        uint32_t bits = ebnn_word(w++);
        for (uint32_t group = 0; group < 8; group++, bits >>= 4) {
            const uint32_t *entry = table + GROUP_WORDS * group + 2 * (bits & 15);
            a0 += entry[0];
            a1 += entry[1];
        }
    }
    sum[0] = a0;
    sum[1] = a1;
}
#endif

static void add_chunk(const bytes_t *bytes, uint32_t word, uint32_t words) {
    const ebnn_node_t *node = bytes->run->node;
    const uint32_t *w = (const uint32_t *)(const void *)bytes->run->weights + word;
    const uint32_t *end = bytes->table + words * TABLE_WORDS;
    uint32_t *to = bytes->sums;
    for (uint32_t f = node->filters; f != 0; f--, w += node->row_words, to += SUMS) {
        sum_chunk(w, bytes->table, end, to);
    }
}

// Bits of up to 32 filters at all positions of the tile.
static void emit_block(const bytes_t *bytes, const ebnn_cursor_t *first, uint32_t count, uint32_t filter) {
    const ebnn_run_t *run = bytes->run;
    uint32_t rows[TILE] = { 0 }, filters = ebnn_block(run->node->filters, filter);
    const uint32_t *sums = bytes->sums + SUMS * filter;
    for (uint32_t f = 0; f < filters; f++, sums += SUMS) {
        int32_t threshold = ebnn_number(run->node, run->numbers, filter + f);
        for (uint32_t i = 0; i < SUMS; i++) {
            int32_t low = (int16_t)sums[i], high = (int32_t)(sums[i] + 0x8000) >> 16;
            rows[2 * i] |= (uint32_t)(low >= threshold) << f;
            rows[2 * i + 1] |= (uint32_t)(high >= threshold) << f;
        }
    }
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < count; i++) {
        ebnn_emit(run, &cursor, filter, rows[i]);
        ebnn_cursor_next(run, &cursor);
    }
}

static void gather_patches(const bytes_t *bytes, const ebnn_cursor_t *first, uint32_t count) {
    ebnn_cursor_t cursor = *first;
    memset(bytes->patches, 0, TILE * bytes->patch);
    for (uint32_t i = 0; i < count; i++) {
        ebnn_gather(bytes->run, &cursor, bytes->patches + i * bytes->patch);
        ebnn_cursor_next(bytes->run, &cursor);
    }
}

void ebnn_bytes_run(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count) {
    const ebnn_node_t *node = run->node;
    bytes_t bytes = { .run = run, .sums = (uint32_t *)(void *)run->scratch, .patch = patch_bytes(node) };
    bytes.patches = run->scratch + EBNN_BYTES_SUM_BYTES * node->filters;
    bytes.table = bytes.sums + fixed_bytes(node) / 4;
    bytes.chunk = (node->scratch_size - fixed_bytes(node)) / EBNN_BYTES_TABLE_BYTES;
    gather_patches(&bytes, first, count);
    memset(bytes.sums, 0, EBNN_BYTES_SUM_BYTES * node->filters);
    for (uint32_t word = 0; word < node->row_words; word += bytes.chunk) {
        uint32_t part = node->row_words - word < bytes.chunk ? node->row_words - word : bytes.chunk;
        for (uint32_t i = 0; i < part; i++) {
            build_table(&bytes, bytes.table + i * TABLE_WORDS, 8 * (word + i));
        }
        add_chunk(&bytes, word, part);
    }
    for (uint32_t f = 0; f < node->filters; f += 32) {
        emit_block(&bytes, first, count, f);
    }
}
