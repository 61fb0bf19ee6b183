// Convolution of bytes for 4 positions at once. Four input bytes of the positions lie as 16-bit lanes in two words each; a
// table holds their sums over each of the 16 sets of taps that four weights can choose. A filter then takes one look-up
// and two additions for four taps of 4 positions; what it adds up are the bytes whose weight is +1.
//
// Bound: sums of 128 taps stay within 15 bits (128 * 255 = 32640).

#include "ebnn_core.h"

#ifdef EBNN_WITH_BYTES

#define BYTES_TILE (EBNN_BYTES_TILE)
#define GROUP_WORDS (EBNN_BYTES_GROUP_BYTES / 4) // 16 sets of four taps, 2 words
#define STEP (EBNN_BYTES_GROUPS) // groups that a filter does in one go where the scratch has room for them
#define BYTES_SUMS (EBNN_BYTES_SUM_BYTES / 4) // words of lanes of the four positions

// How the sums of a tile are made.
typedef struct {
    ebnn_run_t *run;
    uint32_t *sums; // BYTES_SUMS words a filter
    uint32_t *table; // GROUP_WORDS a group
    uint32_t *taps; // BYTES_SUMS words a tap: the bytes of the four positions
    const uint8_t *at[BYTES_TILE]; // the next tap of each position, were there no border
    ebnn_origin_t origin; // where the kernel lies at the first position
    uint32_t count; // positions of the tile
    uint32_t row, tap, ky; // taps in a row of the kernel, the next one, and which row that is in
    uint32_t left; // taps left
    int32_t bottom; // where the kernel lies at the last position
    int inside, columns_inside; // no tap, or no column, of the kernel is border at any position
} bytes_t;

uint32_t ebnn_bytes_scratch(const ebnn_node_t *node) {
    if (node->input != EBNN_DTYPE_U8 || node->taps > EBNN_BYTES_TAPS_MAX) {
        return UINT32_MAX;
    }
    return EBNN_BYTES_GROUP_BYTES + EBNN_BYTES_SUM_BYTES * node->filters;
}

static void fetch_inside(const bytes_t *bytes, uint32_t *to, uint32_t count) {
    const uint8_t *a = bytes->at[0], *b = bytes->at[1], *c = bytes->at[2], *d = bytes->at[3];
    for (uint32_t *end = to + BYTES_SUMS * count; to != end; to += BYTES_SUMS) {
        to[0] = *a++ | (uint32_t)*b++ << 16;
        to[1] = *c++ | (uint32_t)*d++ << 16;
    }
}

static void next_origin(const bytes_t *bytes, ebnn_origin_t *origin, uint32_t i) {
    if (i + 1 < bytes->count) {
        ebnn_origin_next(bytes->run, origin); // positions that are not there are as the last one
    }
}

static int32_t within(int32_t number, int32_t most) {
    return number < 0 ? 0 : number < most ? number : most;
}

// The same where some of it may be border: all but taps first .. last - 1.
static void fetch_bytes_with_border(const bytes_t *bytes, uint32_t *to, int32_t count) {
    const ebnn_run_t *run = bytes->run;
    const int32_t channels = run->in->channels, width = run->in->width * channels, tap = (int32_t)bytes->tap;
    const uint16_t border = run->node->flags & EBNN_FLAG_BORDER_PLUS ? 255 : 0;
    ebnn_origin_t origin = bytes->origin;
    for (uint32_t i = 0; i < BYTES_TILE; i++) {
        const int32_t place = origin.x * channels + tap, first = within(-place, count);
        const int inside = (uint32_t)origin.y + bytes->ky < run->in->height;
        const int32_t last = inside ? within(width - place, count) : 0;
        ebnn_half_t *half = (ebnn_half_t *)(void *)to + (i ^ ebnn_swap_half(256) >> 8 ^ 1);
        int32_t k = 0;
        for (; k < first; k++, half += BYTES_TILE) {
            *half = border;
        }
        for (const uint8_t *from = bytes->at[i]; k < last; k++, half += BYTES_TILE) {
            *half = from[k];
        }
        for (; k < count; k++, half += BYTES_TILE) {
            *half = border;
        }
        next_origin(bytes, &origin, i);
    }
}

// Move on by some taps of a row.
static void advance(bytes_t *bytes, uint32_t count) {
    int32_t step = (int32_t)count;
    bytes->left -= count;
    bytes->tap += count;
    if (bytes->tap == bytes->row) {
        bytes->tap = 0;
        bytes->ky++;
        step += (int32_t)bytes->run->pitch / 8 - (int32_t)bytes->row; // a kernel may be wider than the input
    }
    for (uint32_t i = 0; i < BYTES_TILE; i++) {
        bytes->at[i] += step;
    }
}

// Whether no tap of the kernel's row is border at any position.
static int row_inside(const bytes_t *bytes) {
    int32_t top = bytes->origin.y + (int32_t)bytes->ky, bottom = bytes->bottom + (int32_t)bytes->ky;
    return bytes->columns_inside && top >= 0 && bottom < bytes->run->in->height;
}

// The next `count` taps of each position; behind the last one they are 0.
static void fetch_taps(bytes_t *bytes, uint32_t count) {
    uint32_t *to = bytes->taps;
    while (count != 0 && bytes->left != 0) {
        uint32_t some = bytes->row - bytes->tap;
        some = some < count ? some : count;
        if (bytes->inside || row_inside(bytes)) {
            fetch_inside(bytes, to, some);
        } else {
            fetch_bytes_with_border(bytes, to, (int32_t)some);
        }
        advance(bytes, some);
        to += BYTES_SUMS * some;
        count -= some;
    }
    for (uint32_t *end = to + BYTES_SUMS * count; to != end; to++) {
        *to = 0;
    }
}

// The table of the next groups. A group behind the last tap is only asked for pattern 0.
static void build_byte_table(bytes_t *bytes, uint32_t groups) {
    uint32_t *table = bytes->table, full = (bytes->left + 3) / 4;
    full = full < groups ? full : groups;
    fetch_taps(bytes, 4 * full);
    const uint32_t *tap = bytes->taps;
    for (uint32_t *end = table + GROUP_WORDS * full; table != end; table += GROUP_WORDS, tap += 4 * BYTES_SUMS) {
        const ebnn_steps_t a = { 0, { tap[0], tap[2], tap[4], tap[6] } };
        const ebnn_steps_t b = { 0, { tap[1], tap[3], tap[5], tap[7] } };
        ebnn_build_entries(table, &a, &b);
        bytes->run->own[0] += table[2 * 15];
        bytes->run->own[1] += table[2 * 15 + 1];
    }
    for (; full < groups; full++, table += GROUP_WORDS) {
        table[0] = table[1] = 0;
    }
}

// Add the sums of all filters over STEP groups.
#if defined(__thumb__) && !defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_bytes_thumb1.h"
#elif defined(__thumb2__) && !defined(EBNN_PLAIN_C)
#include "ebnn_bytes_thumb2.h"
#else
static inline void add_byte_filters(const ebnn_chunk_t *chunk) {
    const uint32_t *table = chunk->table, *entry;
    const uint8_t *w = (const uint8_t *)chunk->weights;
    for (uint32_t *sums = chunk->sums; sums != chunk->last; sums += BYTES_SUMS, w += chunk->next) {
        uint32_t low = w[0], high = w[1], a0 = sums[0], a1 = sums[1];
#define LOOK_UP(group, index) \
    (entry = (const uint32_t *)(const void *)((const uint8_t *)table + ((index) & 15 << 3)), \
        a0 += entry[GROUP_WORDS * (group)], a1 += entry[GROUP_WORDS * (group) + 1])
        LOOK_UP(0, low << 3), LOOK_UP(1, low >> 1), LOOK_UP(2, high << 3), LOOK_UP(3, high >> 1);
#undef LOOK_UP
        sums[0] = a0;
        sums[1] = a1;
    }
}
#endif

// Add the sums of all filters over one group, which `shift` finds in a byte of the weights.
static void add_group(const ebnn_chunk_t *chunk, uint32_t shift) {
    const uint32_t *table = chunk->table, *last = chunk->last;
    const uint8_t *w = (const uint8_t *)chunk->weights;
    const uint32_t next = chunk->next;
    for (uint32_t *sums = chunk->sums; sums != last; sums += BYTES_SUMS, w += next) {
        const uint32_t *entry = table + 2 * (*w >> shift & 15), a0 = entry[0], a1 = entry[1];
        sums[0] += a0;
        sums[1] += a1;
    }
}

static void add_all(bytes_t *bytes, uint32_t step) {
    const ebnn_node_t *node = bytes->run->node;
    ebnn_chunk_t chunk = { NULL, bytes->table, bytes->sums, bytes->sums + BYTES_SUMS * node->filters,
        4 * node->row_words, NULL };
    for (uint32_t group = 0; bytes->left != 0; group += step) {
        build_byte_table(bytes, step);
        chunk.weights = bytes->run->weights + group / 2;
        if (step == STEP) {
            add_byte_filters(&chunk);
        } else {
            add_group(&chunk, 4 * (group & 1));
        }
    }
}

static void start_bytes(bytes_t *bytes) {
    const ebnn_run_t *run = bytes->run;
    const ebnn_window_t *kernel = &run->node->kernel;
    ebnn_origin_t origin = bytes->origin;
    bytes->columns_inside = 1;
    for (uint32_t i = 0; i < BYTES_TILE; i++) {
        int32_t y = origin.y, x = origin.x;
        bytes->at[i] = run->input + (y * (int32_t)(run->pitch / 8) + x * run->in->channels);
        bytes->columns_inside &= x >= 0 && x + kernel->width <= run->in->width;
        next_origin(bytes, &origin, i);
    }
    bytes->bottom = origin.y;
    bytes->inside = bytes->columns_inside && bytes->origin.y >= 0 && origin.y + kernel->height <= run->in->height;
}

// The table lies behind the sums, and the taps at its end: they are read before their group's entries are written. The
// hits take its place. The sums over all taps are the run's own.
static uint32_t *table_of(const ebnn_run_t *run) {
    return (uint32_t *)(void *)run->scratch + BYTES_SUMS * run->node->filters;
}

void ebnn_bytes_sum(ebnn_run_t *run, const ebnn_cursor_t *cursor, uint32_t count) {
    const ebnn_node_t *node = run->node;
    uint32_t sums = EBNN_BYTES_SUM_BYTES * node->filters;
    uint32_t step = run->scratch_size - sums < STEP * EBNN_BYTES_GROUP_BYTES ? 1 : STEP;
    bytes_t bytes;
    bytes.run = run;
    bytes.sums = (uint32_t *)(void *)run->scratch;
    if ((cursor->y | cursor->x) == 0) {
        memset(bytes.sums, 0, sums);
    }
    bytes.table = table_of(run);
    bytes.taps = bytes.table + (GROUP_WORDS - 4 * BYTES_SUMS) * step;
    bytes.tap = bytes.ky = run->own[0] = run->own[1] = 0;
    bytes.row = node->kernel.width * run->in->channels;
    bytes.left = node->taps;
    bytes.origin = ebnn_origin(run, cursor);
    bytes.count = count;
    start_bytes(&bytes);
    add_all(&bytes, step);
}

// Hits of 16 filters or fewer at the 4 positions, as halves of two words. With acc = 2 P - X, where P is the sum of the
// bytes whose weight is +1 and X that of all, a filter hits where P - ceil((X + T) / 2) >= 0; with t = floor(T / 2) that
// is ceil(X / 2) + t for an even T, floor(X / 2) + 1 + t for an odd one. Bit 15 of a lane says it once 0x8000 is added.
static void find_hits(const ebnn_run_t *run, uint32_t filter, uint32_t count, uint32_t hits[2]) {
    const uint32_t mask = 0x7fff7fffUL, ones = 0x00010001UL, top = 0x80008000UL, *all = run->own;
    const uint32_t even0 = top - ((all[0] + ones) >> 1 & mask), odd0 = top - ones - (all[0] >> 1 & mask);
    const uint32_t even1 = top - ((all[1] + ones) >> 1 & mask), odd1 = top - ones - (all[1] >> 1 & mask);
    uint32_t *sums = (uint32_t *)(void *)run->scratch + BYTES_SUMS * filter;
    uint32_t h0 = 0, h1 = 0;
    for (uint32_t end = filter + count; filter < end; filter++, sums += BYTES_SUMS) {
        int32_t threshold = ebnn_threshold(run, filter);
        uint32_t t = (uint32_t)(threshold >> 1) * ones;
        uint32_t s0 = sums[0] - t + (threshold & 1 ? odd0 : even0), s1 = sums[1] - t + (threshold & 1 ? odd1 : even1);
        h0 = h0 >> 1 | (s0 & top);
        h1 = h1 >> 1 | (s1 & top);
        sums[0] = sums[1] = 0; // for the next tile
    }
    hits[0] = h0;
    hits[1] = h1;
}

const uint32_t *ebnn_bytes_hits(const ebnn_run_t *run, uint32_t filter) {
    uint32_t *rows = table_of(run), left = ebnn_block(run->node->filters, filter), hits[2];
    rows[0] = rows[1] = rows[2] = rows[3] = 0;
    for (uint32_t half = 0; half < left; half += 16) {
        uint32_t some = left - half < 16 ? left - half : 16;
        find_hits(run, filter + half, some, hits);
        for (uint32_t i = 0; i < BYTES_TILE; i++) {
            rows[i] |= (hits[i / 2] >> (i & 1 ? 16 : 0) & 0xffff) >> (16 - some) << half;
        }
    }
    return rows;
}

#endif
