// Running a network: docs/SPEC.md, section 2. Bits lie in memory byte by byte, least significant bit first, so that the
// same code serves either byte order: XOR and popcount do not care, and single bits are reached through bytes.

#include "ebnn_core.h"

static int run_flips(const ebnn_run_t *run, const uint8_t *flips) {
    const ebnn_value_t *out = &run->node->output;
    uint32_t pixels = (uint32_t)out->height * out->width;
    for (uint32_t c = 0; c < out->channels; c += 32) {
        uint32_t bits = ebnn_bits(flips, c, ebnn_block(out->channels, c));
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            if (pixel % 4096 == 4095 && ebnn_poll(run)) {
                return EBNN_E_STOPPED;
            }
            ebnn_put(run->out, pixel * run->out_stride + c, run->out_stride, bits, 1);
        }
    }
    return EBNN_OK;
}

uint32_t ebnn_row_bytes(const ebnn_node_t *node) {
    const ebnn_window_t *pool = &node->pool;
    if (!ebnn_makes_hits(node)
        || (pool->height == 1 && pool->width == 1 && pool->stride_h == 1 && pool->stride_w == 1)) {
        return 0; // a window of 1 has no padding
    }
    return (node->map_w * ebnn_pixel_stride(node->output.channels) + 31) / 32 * 4;
}

// The second input, which is no input of the network.
static void find_second(ebnn_run_t *run, const ebnn_t *net) {
    uint32_t second = run->node->second;
    run->second = second == 0 ? NULL : &net->nodes[second - 1].output;
    run->seconds = second == 0 ? NULL : (const uint8_t *)run->job->arena + net->nodes[second - 1].out;
}

static void start_node(ebnn_run_t *run, const ebnn_t *net, const ebnn_job_t *job, uint32_t index) {
    const ebnn_node_t *node = &net->nodes[index];
    const ebnn_window_t *pool = &node->pool;
    uint8_t *arena = (uint8_t *)job->arena;
    uint32_t row = ebnn_row_bytes(node);
    run->node = node;
    run->job = job;
    run->in = ebnn_value(net, net->nodes, node->from);
    run->input = node->from == 0 ? (const uint8_t *)job->input : arena + net->nodes[node->from - 1].out;
    run->out = run->clean = arena + node->out;
    run->pools = row != 0;
    run->row = run->pools ? arena + node->scratch : run->out;
    run->scratch = arena + node->scratch + row;
    run->scratch_size = node->scratch_size - row;
    run->weights = (const uint8_t *)job->model + node->weights;
    run->numbers = (const uint8_t *)job->model + node->numbers;
    run->in_stride = ebnn_pixel_bits(run->in);
    run->out_stride = ebnn_pixel_bits(&node->output);
    run->pitch = run->in->width * run->in_stride;
    run->taps = node->taps;
    run->rows = node->output.height;
    run->cols = node->output.width;
    find_second(run, net);
    if (node->kernel_index != EBNN_KERNEL_VALUES) {
        run->rows = ebnn_reach(node->map_h, run->rows, pool->height, pool->stride_h, pool->top);
        run->cols = ebnn_reach(node->map_w, run->cols, pool->width, pool->stride_w, pool->left);
    }
}

static void start_map(ebnn_run_t *run, ebnn_cursor_t *cursor) {
    const ebnn_cursor_t start = { 0, 0, 0, -1 };
    *cursor = start;
    if (run->node->kernel_index != EBNN_KERNEL_VALUES) {
        ebnn_start_hits(run, cursor);
    }
}

static int run_map(ebnn_run_t *run, ebnn_cursor_t *cursor, uint32_t until) {
    int is_values = run->node->kernel_index == EBNN_KERNEL_VALUES;
    return is_values ? ebnn_run_values(run, cursor, until) : ebnn_run_hits(run, cursor, until);
}

static int finish_node(const ebnn_run_t *run, const ebnn_job_t *job, uint32_t index) {
    if (run->node->flips != 0 && run_flips(run, (const uint8_t *)job->model + run->node->flips) != EBNN_OK) {
        return EBNN_E_STOPPED;
    }
    int ends = job->trace != NULL && job->trace(job->ctx, index, run->out, ebnn_value_size(&run->node->output)) != 0;
    return ends ? EBNN_E_STOPPED : EBNN_OK;
}

// Run the nodes from one on.
static int run_nodes(const ebnn_t *net, const ebnn_job_t *job, uint32_t index) {
    for (; index < net->node_count; index++) {
        ebnn_run_t run;
        ebnn_cursor_t cursor;
        start_node(&run, net, job, index);
        start_map(&run, &cursor);
        int rc = run_map(&run, &cursor, run.rows);
        if (rc == EBNN_OK) {
            rc = finish_node(&run, job, index);
        }
        if (rc != EBNN_OK) {
            return rc;
        }
    }
    return EBNN_OK;
}

static int check_memory(const ebnn_t *net, const ebnn_job_t *job) {
    if (((uintptr_t)job->model | (uintptr_t)job->arena) % 4 != 0) {
        return EBNN_E_ALIGN;
    }
    return job->arena_size < net->arena_size ? EBNN_E_SPACE : EBNN_OK;
}

int ebnn_run(const ebnn_t *net, const ebnn_job_t *job) {
    int rc = check_memory(net, job);
    return rc == EBNN_OK ? run_nodes(net, job, 0) : rc;
}

// --- input row by row ----------------------------------------------------------------------------------------------

static uint32_t window_pitch(const ebnn_t *net) {
    return net->window_size / net->window_rows;
}

// The whole input in one piece: rows of bits need not begin with a byte.
static void append_row(const ebnn_t *net, ebnn_feed_t *feed, const uint8_t *row) {
    uint8_t *window = (uint8_t *)feed->window;
    if (feed->rows == 0) {
        memset(window, 0, net->window_size);
    }
    if (net->input.dtype != EBNN_DTYPE_BITS) {
        memcpy(window + feed->rows * net->row_size, row, net->row_size);
        return;
    }
    uint32_t bits = net->input.width * ebnn_pixel_stride(net->input.channels), place = feed->rows * bits;
    for (uint32_t i = 0; i < bits; i++, place++) {
        ebnn_put(window, place, 1, row[i / 8] >> i % 8 & 1, 0);
    }
}

// The last rows of the input, the oldest one first.
static void shift_row(const ebnn_t *net, const ebnn_feed_t *feed, const uint8_t *row) {
    uint32_t pitch = window_pitch(net), place = feed->rows;
    uint8_t *window = (uint8_t *)feed->window;
    if (place >= net->window_rows) {
        place = net->window_rows - 1U;
        memmove(window, window + pitch, place * pitch);
    }
    memcpy(window + place * pitch, row, net->row_size);
}

// The rows of the first node's map for which the input is there.
static int feed_map(const ebnn_t *net, const ebnn_job_t *job, ebnn_feed_t *feed) {
    ebnn_run_t run;
    ebnn_cursor_t cursor = { feed->place[0], feed->place[1], (int32_t)feed->place[2], (int32_t)feed->place[3] };
    uint32_t pitch = window_pitch(net), gone = feed->rows < net->window_rows ? 0 : feed->rows - net->window_rows;
    start_node(&run, net, job, 0);
    run.pitch = 8 * pitch;
    run.input = (const uint8_t *)feed->window - gone * pitch;
    if (feed->rows == 1) {
        start_map(&run, &cursor);
    } else {
        run.clean = run.out + feed->place[4];
    }
    const ebnn_rows_t under = ebnn_rows_under(run.node);
    uint32_t until = cursor.y, seen = feed->rows + under.above;
    while (until < run.rows && (feed->rows == net->input.height || until * under.step + under.count <= seen)) {
        until++;
    }
    int rc = run_map(&run, &cursor, until);
    const uint32_t place[5] = { cursor.y, cursor.x, (uint32_t)cursor.first, (uint32_t)cursor.last,
        (uint32_t)(run.clean - run.out) };
    memcpy(feed->place, place, sizeof(place));
    if (rc == EBNN_OK && feed->rows == net->input.height) {
        rc = finish_node(&run, job, 0);
        rc = rc == EBNN_OK ? run_nodes(net, job, 1) : rc;
    }
    return rc;
}

int ebnn_feed(const ebnn_t *net, const ebnn_job_t *job, ebnn_feed_t *feed) {
    uint32_t height = net->input.height;
    int rc = check_memory(net, job);
    if (rc == EBNN_OK && (uintptr_t)feed->window % 4 != 0) {
        rc = EBNN_E_ALIGN;
    }
    if (rc == EBNN_OK && net->window_rows < height) {
        shift_row(net, feed, (const uint8_t *)job->input);
        feed->rows++;
        rc = feed_map(net, job, feed);
    } else if (rc == EBNN_OK) {
        append_row(net, feed, (const uint8_t *)job->input);
        ebnn_job_t whole = *job;
        whole.input = feed->window;
        rc = ++feed->rows == height ? run_nodes(net, &whole, 0) : EBNN_OK;
    }
    uint32_t missing = height - feed->rows;
    feed->rows = rc != EBNN_OK || missing == 0 ? 0 : feed->rows;
    return rc == EBNN_OK ? (int)missing : rc;
}

int32_t ebnn_score(const ebnn_t *net, const void *arena, uint32_t index) {
    const ebnn_node_t *last = &net->nodes[net->node_count - 1];
    uint32_t dtype = last->output.dtype;
    int32_t score;
    ebnn_elements((const uint8_t *)arena + last->out, dtype, index * ebnn_element_bits(dtype), 1, &score);
    return score;
}

int ebnn_argmax(const ebnn_t *net, const void *arena) {
    int32_t most = INT32_MIN;
    uint32_t best = 0;
    for (uint32_t i = 0; i < net->classes; i++) {
        int32_t score = ebnn_score(net, arena, i);
        if (score > most) {
            most = score;
            best = i;
        }
    }
    return (int)best;
}

uint32_t ebnn_margin(const ebnn_t *net, const void *arena) {
    uint32_t best = (uint32_t)ebnn_argmax(net, arena), margin = UINT32_MAX;
    int32_t most = ebnn_score(net, arena, best);
    for (uint32_t i = 0; i < net->classes; i++) {
        uint32_t less = (uint32_t)most - (uint32_t)ebnn_score(net, arena, i); // may pass 31 bits
        margin = i != best && less < margin ? less : margin;
    }
    return margin;
}

void ebnn_selftest_input(const ebnn_t *net, void *input) {
    uint32_t channels = net->input.channels, stride = ebnn_pixel_stride(channels), x = net->selftest_seed;
    uint32_t pixels = (uint32_t)net->input.height * net->input.width;
    uint8_t *bytes = (uint8_t *)input;
    memset(bytes, 0, net->input_size);
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        for (uint32_t c = 0; c < channels; c++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            if (net->input.dtype == EBNN_DTYPE_BITS) {
                ebnn_put(bytes, pixel * stride + c, 1, x >> 31, 0);
            } else if (net->input.dtype == EBNN_DTYPE_I16) {
                ((ebnn_short_t *)input)[pixel * channels + c] = (int16_t)(x >> 16);
            } else {
                bytes[pixel * channels + c] = (uint8_t)(x >> 24);
            }
        }
    }
}

uint32_t ebnn_scores_crc(const ebnn_t *net, const void *arena) {
    uint32_t crc = 0;
    for (uint32_t i = 0; i < net->classes; i++) {
        uint32_t s = (uint32_t)ebnn_score(net, arena, i);
        const uint8_t bytes[4] = { (uint8_t)s, (uint8_t)(s >> 8), (uint8_t)(s >> 16), (uint8_t)(s >> 24) };
        crc = ebnn_crc32(crc, bytes, 4);
    }
    return crc;
}

uint32_t ebnn_crc32(uint32_t crc, const void *data, size_t size) {
    static const uint32_t table[16] = {
        0x00000000,
        0x1db71064,
        0x3b6e20c8,
        0x26d930ac,
        0x76dc4190,
        0x6b6b51f4,
        0x4db26158,
        0x5005713c,
        0xedb88320,
        0xf00f9344,
        0xd6d6a3e8,
        0xcb61b38c,
        0x9b64c2b0,
        0x86d3d2d4,
        0xa00ae278,
        0xbdbdf21c,
    };
    const uint8_t *p = (const uint8_t *)data;
    for (crc = ~crc; size != 0; size--, p++) {
        crc = table[(crc ^ *p) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)*p >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}
