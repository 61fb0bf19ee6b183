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
#define STEP_WORDS (4 * GROUP_WORDS) // of 16 taps
#define SUMS (EBNN_BYTES_SUM_BYTES / 4)

typedef struct {
    const ebnn_run_t *run;
    uint32_t *sums; // SUMS words a filter
    uint32_t *table; // TABLE_WORDS a word of the chunk
    uint32_t chunk; // words of weights that the table holds
    // Where the taps of each position are, `row` of them in a row, then `skip` bytes of no interest; and how far we are.
    const uint8_t *taps[TILE];
    uint32_t row, skip, offset, in_row, left; // in_row: taps left in the row
} bytes_t;

// Patches serve where the kernel leaves the input.
static uint32_t patch_bytes(const ebnn_node_t *node) {
    const ebnn_window_t *kernel = &node->kernel;
    int pads = kernel->top | kernel->left | kernel->bottom | kernel->right;
    return pads ? (node->taps + 3) / 4 * 4 : 0;
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

// Entry p of a group is the sum of the four taps, each with the sign that its bit in p says.
static inline ebnn_steps_t group_steps(const uint32_t v[4]) {
    ebnn_steps_t steps = { 0 - (v[0] + v[1] + v[2] + v[3]), { 2 * v[0], 2 * v[1], 2 * v[2], 2 * v[3] } };
    return steps;
}

// The table up to `end`; groups behind the last tap are only asked for pattern 0.
static void build_table(bytes_t *bytes, const uint32_t *end) {
    const uint8_t *const *taps = bytes->taps;
    uint32_t offset = bytes->offset, left = bytes->left;
    for (uint32_t *table = bytes->table; table != end; table += GROUP_WORDS) {
        if (left == 0) {
            table[0] = table[1] = 0;
            continue;
        }
        uint32_t low[4], high[4];
        for (uint32_t tap = 0; tap < 4; tap++) {
            uint32_t x = 0, y = 0;
            if (left != 0) {
                x = taps[0][offset] | (uint32_t)taps[1][offset] << 16;
                y = taps[2][offset] | (uint32_t)taps[3][offset] << 16;
                left--;
                offset++;
                if (--bytes->in_row == 0) {
                    bytes->in_row = bytes->row;
                    offset += bytes->skip;
                }
            }
            low[tap] = x;
            high[tap] = y;
        }
        const ebnn_steps_t a = group_steps(low), b = group_steps(high);
        ebnn_build_entries(table, &a, &b);
    }
    bytes->offset = offset;
    bytes->left = left;
}

// Add the sums of the filters over a chunk: 16 taps at a time, so that few of the last word's are in vain.
#if defined(__thumb__) && !defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_bytes_thumb1.h"
#else
#if defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_bytes_thumb2.h"
#else
static inline void sum_chunk(const uint16_t *w, const uint32_t *table, const uint32_t *end, uint32_t sum[2]) {
    const uint8_t *p = (const uint8_t *)w;
    uint32_t a0 = sum[0], a1 = sum[1];
    const uint32_t *entry;
#define LOOK_UP(group, index) \
    (entry = (const void *)((const uint8_t *)table + ((index) & 15 << 3)), a0 += entry[GROUP_WORDS * (group)], \
        a1 += entry[GROUP_WORDS * (group) + 1])
    for (; table != end; table += STEP_WORDS, p += 2) {
        uint32_t low = p[0], high = p[1];
        LOOK_UP(0, low << 3), LOOK_UP(1, low >> 1), LOOK_UP(2, high << 3), LOOK_UP(3, high >> 1);
    }
#undef LOOK_UP
    sum[0] = a0;
    sum[1] = a1;
}
#endif

static inline void add_filters(const ebnn_chunk_t *chunk) {
    const uint16_t *w = chunk->weights;
    const uint32_t *table = chunk->table, *end = chunk->end;
    uint32_t row = (uint32_t)(end - table) / STEP_WORDS + chunk->skip / 2;
    for (uint32_t *sums = chunk->sums; sums != chunk->last; sums += SUMS, w += row) {
        sum_chunk(w, table, end, sums);
    }
}
#endif

// Add the chunk from `word` on, or what is left of it, to the sums of every filter.
static void add_chunk(bytes_t *bytes, uint32_t word) {
    const ebnn_node_t *node = bytes->run->node;
    uint32_t taps = bytes->left < 32 * bytes->chunk ? bytes->left : 32 * bytes->chunk, steps = (taps + 15) / 16;
    const ebnn_chunk_t chunk = {
        .weights = bytes->run->weights + 4 * word,
        .table = bytes->table,
        .end = bytes->table + steps * STEP_WORDS,
        .sums = bytes->sums,
        .last = bytes->sums + SUMS * node->filters,
        .skip = 4 * node->row_words - 2 * steps,
    };
    build_table(bytes, chunk.end);
    add_filters(&chunk);
}

// The threshold of a filter, or one beyond every sum.
static inline int32_t limit(const ebnn_run_t *run, uint32_t filter) {
    int32_t threshold = ebnn_number(run->node, run->numbers, filter);
    return threshold > INT16_MAX ? INT16_MAX : threshold < INT16_MIN ? INT16_MIN : threshold;
}

// Bits of up to 32 filters at all positions of the tile.
static void emit_block(const bytes_t *bytes, const ebnn_cursor_t *first, uint32_t count, uint32_t filter) {
    const ebnn_run_t *run = bytes->run;
    uint32_t filters = ebnn_block(run->node->filters, filter);
    uint32_t m0 = 0, m1 = 0, m2 = 0, m3 = 0; // misses
    for (uint32_t f = filter + filters; f-- != filter;) {
        const uint32_t *sums = bytes->sums + SUMS * f;
        int32_t threshold = limit(run, f);
#define MISSES(sum) ((uint32_t)((sum) - threshold) >> 31)
        m0 = m0 << 1 | MISSES((int16_t)sums[0]);
        m1 = m1 << 1 | MISSES((int32_t)(sums[0] + 0x8000) >> 16);
        m2 = m2 << 1 | MISSES((int16_t)sums[1]);
        m3 = m3 << 1 | MISSES((int32_t)(sums[1] + 0x8000) >> 16);
#undef MISSES
    }
    const uint32_t rows[TILE] = { m0, m1, m2, m3 }, hits = UINT32_MAX >> (32 - filters);
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < count; i++) {
        ebnn_emit(run, &cursor, filter, ~rows[i] & hits);
        ebnn_cursor_next(run, &cursor);
    }
}

// Whether the kernel lies inside of the input at every position of the tile; then the taps are read where they are.
static int find_taps(bytes_t *bytes, const ebnn_cursor_t *first, uint32_t count) {
    const ebnn_run_t *run = bytes->run;
    const ebnn_window_t *kernel = &run->node->kernel;
    uint32_t height = run->in->height, width = run->in->width, channels = run->in->channels;
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < TILE; i++) {
        uint32_t y = cursor.y * kernel->stride_h - kernel->top, x = cursor.x * kernel->stride_w - kernel->left;
        // A position left of the input or above it is a very large one.
        if (y >= height || y + kernel->height > height || x >= width || x + kernel->width > width) {
            return 0;
        }
        bytes->taps[i] = run->input + (y * width + x) * channels;
        if (i + 1 < count) {
            ebnn_cursor_next(run, &cursor);
        }
    }
    bytes->row = kernel->width * channels;
    bytes->skip = width * channels - bytes->row;
    return 1;
}

static void gather_patches(bytes_t *bytes, const ebnn_cursor_t *first, uint32_t count) {
    const ebnn_node_t *node = bytes->run->node;
    uint8_t *patch = (uint8_t *)(bytes->sums + SUMS * node->filters);
    ebnn_cursor_t cursor = *first;
    for (uint32_t i = 0; i < TILE; i++, patch += patch_bytes(node)) {
        ebnn_gather(bytes->run, &cursor, patch);
        bytes->taps[i] = patch;
        if (i + 1 < count) {
            ebnn_cursor_next(bytes->run, &cursor);
        }
    }
    bytes->row = node->taps;
    bytes->skip = 0;
}

void ebnn_bytes_run(const ebnn_run_t *run, const ebnn_cursor_t *first, uint32_t count) {
    const ebnn_node_t *node = run->node;
    bytes_t bytes = { .run = run, .sums = (uint32_t *)(void *)run->scratch, .left = node->taps };
    bytes.table = bytes.sums + fixed_bytes(node) / 4;
    bytes.chunk = (node->scratch_size - fixed_bytes(node)) / EBNN_BYTES_TABLE_BYTES;
    if (!find_taps(&bytes, first, count)) {
        gather_patches(&bytes, first, count);
    }
    bytes.in_row = bytes.row;
    memset(bytes.sums, 0, EBNN_BYTES_SUM_BYTES * node->filters);
    for (uint32_t word = 0; word < node->row_words; word += bytes.chunk) {
        add_chunk(&bytes, word);
    }
    for (uint32_t f = 0; f < node->filters; f += 32) {
        emit_block(&bytes, first, count, f);
    }
}
