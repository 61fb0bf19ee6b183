// Shared by the engine's own files only.
#ifndef EBNN_CORE_H
#define EBNN_CORE_H

#include "ebnn.h"

enum { EBNN_SOURCE_CONV, EBNN_SOURCE_DENSE, EBNN_SOURCE_POOL };

// Bits that a pixel takes: channels rounded up to 1, 2, 4, 8, 16 or a multiple of 32.
static inline uint32_t ebnn_pixel_stride(uint32_t channels) {
    uint32_t stride = 1;
    while (stride < channels && stride < 32) {
        stride *= 2;
    }
    return stride < 32 ? stride : (channels + 31) / 32 * 32;
}

// Value 0 is the input, value k the output of node k - 1.
static inline const ebnn_value_t *ebnn_value(const ebnn_t *net, const ebnn_node_t *nodes, uint32_t id) {
    return id == 0 ? &net->input : &nodes[id - 1].output;
}

// Threshold or offset of a filter; `numbers` is aligned to 2, or 4 where they are wide.
static inline int32_t ebnn_number(const ebnn_node_t *node, const uint8_t *numbers, uint32_t filter) {
    const uint8_t *p = numbers + filter * (node->flags & EBNN_FLAG_WIDE ? 4 : 2);
    uint32_t low = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    if (node->flags & EBNN_FLAG_WIDE) {
        return (int32_t)(low | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    }
    return (int16_t)low;
}

// Bytes that a value takes in memory.
uint32_t ebnn_value_size(const ebnn_value_t *value);

#endif
