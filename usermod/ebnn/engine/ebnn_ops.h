// Rendered by tools/generate.py from host/ebnn/ops.py: do not edit.
#ifndef EBNN_OPS_H
#define EBNN_OPS_H

#define EBNN_FORMAT_MAJOR (1)
#define EBNN_FORMAT_MINOR (0)
#define EBNN_HEADER_SIZE (48)
#define EBNN_RECORD_SIZE (36)
#define EBNN_FLAG_BORDER_PLUS (1)
#define EBNN_FLAG_WIDE (2)
#define EBNN_FLAG_FLIPS (4)
#define EBNN_FLAG_BORDER_NONE (8)
#define EBNN_FLAG_INT8_WEIGHTS (16)
#define EBNN_FLAG_SUM (32)
#define EBNN_FLAG_GAINS (64)
#define EBNN_FLAG_EXCLUSIVE (128)
#define EBNN_PREPARE_RECORDED (1)
#define EBNN_PREPARE_AVERAGE (2)
#define EBNN_PREPARE_NEAREST (4)
#define EBNN_PREPARE_INVERT (8)
#define EBNN_PREPARE_KNOWN (15)
#define EBNN_MAX_BITS (134217728UL)
#define EBNN_MAX_ARENA (67108864UL)
#define EBNN_MAX_SUM (1073741824UL)
#define EBNN_MAX_SHIFT (31)
#define EBNN_LANES_TILE (16U)
#define EBNN_LANES_TILE_BYTES (128U)
#define EBNN_LANES_SUM_BYTES (32U)
#define EBNN_LANES_TABLE_BYTES (1024U)
#define EBNN_LANES_CHUNK_MAX (7U)
#define EBNN_LANES_TAPS_MAX (32766U)
#define EBNN_BYTES_TILE (4U)
#define EBNN_BYTES_SUM_BYTES (8U)
#define EBNN_BYTES_GROUP_BYTES (128U)
#define EBNN_BYTES_GROUPS (4U)
#define EBNN_BYTES_TAPS_MAX (128U)
#define EBNN_PIXELS_MONO_VLSB (0)
#define EBNN_PIXELS_RGB565 (1)
#define EBNN_PIXELS_MONO_HLSB (3)
#define EBNN_PIXELS_MONO_HMSB (4)
#define EBNN_PIXELS_GS8 (6)
#define EBNN_PIXELS_RGB565_SWAPPED (129)
#define EBNN_MAX_SIDE (32767U)
#define EBNN_MAX_CROP (8388608UL)
#define EBNN_DTYPE_BITS (0)
#define EBNN_DTYPE_U8 (1)
#define EBNN_DTYPE_I8 (2)
#define EBNN_DTYPE_I16 (3)
#define EBNN_DTYPE_I32 (4)

// X(code, name)
#define EBNN_OP_LIST(X) \
    X(1, CONV) \
    X(2, DEPTHWISE) \
    X(3, DENSE) \
    X(4, POOL)

// X(name, code, text)
#define EBNN_ERROR_LIST(X) \
    X(EBNN_E_TRUNCATED, -1, "model is truncated") \
    X(EBNN_E_MAGIC, -2, "not an ebnn model") \
    X(EBNN_E_VERSION, -3, "model format is not the one that this ebnn reads: update the firmware or export again") \
    X(EBNN_E_SIZE, -4, "model is longer than its header says") \
    X(EBNN_E_CRC, -5, "model is damaged: its checksum does not match") \
    X(EBNN_E_HEADER, -6, "model header is invalid") \
    X(EBNN_E_OP, -7, "model uses an operator that this ebnn does not have") \
    X(EBNN_E_LINK, -8, "a node reads a value that does not exist or has another type") \
    X(EBNN_E_SHAPE, -9, "a node's geometry does not fit its input") \
    X(EBNN_E_RANGE, -10, "a node's parameters lie outside of the model") \
    X(EBNN_E_OVERFLOW, -11, "a node's sums could pass 32 bits") \
    X(EBNN_E_ARENA, -12, "a node's memory lies outside of the arena") \
    X(EBNN_E_LABELS, -13, "the labels are damaged") \
    X(EBNN_E_NODES, -14, "model has more nodes than the caller's table") \
    X(EBNN_E_ALIGN, -15, "model and arena must be aligned to 4 bytes") \
    X(EBNN_E_SPACE, -16, "the arena is smaller than the model needs") \
    X(EBNN_E_STOPPED, -17, "stopped by the caller") \
    X(EBNN_E_FRAME, -18, "a frame needs a known format, and sides and a stride of 1 to 32767 pixels") \
    X(EBNN_E_CROP, -19, "the crop must lie inside of the frame, be at least as large as the input, and have at most 2^23 pixels") \
    X(EBNN_E_PICTURE, -20, "no such preparation for this input: it takes one channel, and its own size where nothing is resized")

#endif
