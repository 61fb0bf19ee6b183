// From a camera's or a display's frame to an input of one channel: docs/SPEC.md, section 8.

#include "ebnn_core.h"

// A place along a side of the crop: pixel + rest / parts.
typedef struct {
    uint32_t pixel, rest;
} edge_t;

// Where the crop begins in a line, and the parts that the line is cut into.
typedef struct {
    uint32_t start, parts;
    edge_t step; // from one part to the next
} axis_t;

// A line of the frame.
typedef struct {
    const uint8_t *bytes;
    uint8_t format, bit; // of MONO_VLSB: the line's in its bytes
} line_t;

// No product passes 32 bits: a side has at most 15, and there are at most twice as many parts as pixels.
static edge_t edge_at(uint32_t index, uint32_t side, uint32_t parts) {
    edge_t edge = { index * side / parts, index * side % parts };
    return edge;
}

static void step_on(edge_t *edge, const axis_t *axis) {
    edge->pixel += axis->step.pixel;
    edge->rest += axis->step.rest;
    if (edge->rest >= axis->parts) {
        edge->rest -= axis->parts;
        edge->pixel++;
    }
}

static line_t line_at(const ebnn_picture_t *picture, const void *frame, uint32_t y) {
    int is_page = picture->format == EBNN_PIXELS_MONO_VLSB;
    line_t line = { (const uint8_t *)frame + (is_page ? y / 8 : y) * picture->pitch, picture->format,
        (uint8_t)(y % 8) };
    return line;
}

static uint32_t gray_of_rgb(uint32_t low, uint32_t high) {
    uint32_t green = low >> 5 | (high & 7) << 3;
    return (630 * (high >> 3) + 608 * green + 240 * (low & 31) + 128) >> 8;
}

// Sum of the gray of `count` pixels from pixel x of a line on.
static uint32_t sum_pixels(const line_t *line, uint32_t x, uint32_t count) {
    const uint8_t *p = line->bytes;
    uint32_t sum = 0, end = x + count;
    switch (line->format) {
        case EBNN_PIXELS_GS8:
            for (; x < end; x++) {
                sum += p[x];
            }
            return sum;
        case EBNN_PIXELS_RGB565:
            for (; x < end; x++) {
                sum += gray_of_rgb(p[2 * x], p[2 * x + 1]);
            }
            return sum;
        case EBNN_PIXELS_RGB565_SWAPPED:
            for (; x < end; x++) {
                sum += gray_of_rgb(p[2 * x + 1], p[2 * x]);
            }
            return sum;
        case EBNN_PIXELS_MONO_VLSB:
            for (; x < end; x++) {
                sum += p[x] >> line->bit & 1U;
            }
            return 255 * sum;
        default:
            for (uint32_t turn = line->format == EBNN_PIXELS_MONO_HLSB ? 7 : 0; x < end; x++) {
                sum += p[x / 8] >> (x % 8 ^ turn) & 1U;
            }
            return 255 * sum;
    }
}

// The same from one place to another, where a pixel that lies between them in part counts in part; times the parts.
static uint32_t sum_line(const line_t *line, const axis_t *axis, const edge_t *from, const edge_t *to) {
    uint32_t x = axis->start + from->pixel, end = axis->start + to->pixel;
    uint32_t sum = axis->parts * sum_pixels(line, x, end - x);
    sum -= from->rest == 0 ? 0 : from->rest * sum_pixels(line, x, 1);
    return to->rest == 0 ? sum : sum + to->rest * sum_pixels(line, end, 1);
}

typedef struct {
    const ebnn_picture_t *picture;
    const void *frame;
    axis_t across;
    edge_t top, bottom; // of the row
} row_t;

static uint32_t sum_box(const row_t *row, const edge_t *left, const edge_t *right) {
    const edge_t *top = &row->top, *bottom = &row->bottom;
    uint32_t sum = 0;
    for (uint32_t y = top->pixel; y < bottom->pixel + (bottom->rest != 0); y++) {
        line_t line = line_at(row->picture, row->frame, row->picture->crop_y + y);
        uint32_t whole = row->picture->out_h - (y == top->pixel ? top->rest : 0);
        sum += (y == bottom->pixel ? bottom->rest : whole) * sum_line(&line, &row->across, left, right);
    }
    return sum;
}

// n / d, which is below 256; d is at most 2^24. Not every core divides.
static uint32_t divide(uint32_t n, uint32_t d) {
    uint32_t quotient = 0;
    for (uint32_t bit = 128; bit != 0; bit /= 2) {
        if (n >= d * bit) {
            n -= d * bit;
            quotient += bit;
        }
    }
    return quotient;
}

static void put_gray(const ebnn_picture_t *picture, uint8_t *out, uint32_t place, uint32_t gray) {
    gray = picture->prepare & EBNN_PREPARE_INVERT ? 255 - gray : gray;
    if (picture->threshold == 0) {
        out[place] = (uint8_t)gray;
    } else if (gray >= picture->threshold) {
        out[place / 8] |= (uint8_t)(1U << place % 8);
    }
}

static void average_row(const ebnn_picture_t *picture, const void *frame, uint32_t y, uint8_t *out, uint32_t place) {
    const uint32_t pixels = picture->crop_w * picture->crop_h;
    row_t row = { picture, frame, { picture->crop_x, picture->out_w, edge_at(1, picture->crop_w, picture->out_w) },
        edge_at(y, picture->crop_h, picture->out_h), edge_at(y + 1, picture->crop_h, picture->out_h) };
    edge_t left = { 0, 0 };
    for (uint32_t x = 0; x < picture->out_w; x++) {
        edge_t right = left;
        step_on(&right, &row.across);
        put_gray(picture, out, place + x, divide(2 * sum_box(&row, &left, &right) + pixels, 2 * pixels));
        left = right;
    }
}

static void nearest_row(const ebnn_picture_t *picture, const void *frame, uint32_t y, uint8_t *out, uint32_t place) {
    edge_t middle = edge_at(2 * y + 1, picture->crop_h, 2U * picture->out_h);
    line_t line = line_at(picture, frame, picture->crop_y + middle.pixel);
    axis_t across = { picture->crop_x, 2U * picture->out_w, edge_at(2, picture->crop_w, 2U * picture->out_w) };
    middle = edge_at(1, picture->crop_w, across.parts);
    for (uint32_t x = 0; x < picture->out_w; x++, step_on(&middle, &across)) {
        put_gray(picture, out, place + x, sum_pixels(&line, across.start + middle.pixel, 1));
    }
}

static int is_same_size(const ebnn_picture_t *picture) {
    return picture->crop_w == picture->out_w && picture->crop_h == picture->out_h;
}

static void make_row(const ebnn_picture_t *picture, const void *frame, uint32_t y, uint8_t *out, uint32_t place) {
    if (picture->prepare & EBNN_PREPARE_AVERAGE && !is_same_size(picture)) {
        average_row(picture, frame, y, out, place);
    } else {
        nearest_row(picture, frame, y, out, place);
    }
}

static int is_side(uint32_t pixels) {
    return pixels - 1 < EBNN_MAX_SIDE;
}

// Fill in bytes from line to line (of MONO_VLSB: from page to page) and of the frame; whether it can be.
static int measure_frame(ebnn_picture_t *picture) {
    uint32_t stride = picture->stride == 0 ? picture->width : picture->stride;
    if (!is_side(picture->width) || !is_side(picture->height) || !is_side(stride) || stride < picture->width) {
        return 0;
    }
    uint32_t lines = picture->height - 1, last = picture->width;
    picture->pitch = stride;
    switch (picture->format) {
        case EBNN_PIXELS_RGB565:
        case EBNN_PIXELS_RGB565_SWAPPED:
            picture->pitch *= 2;
            last *= 2;
            break;
        case EBNN_PIXELS_MONO_HLSB:
        case EBNN_PIXELS_MONO_HMSB:
            picture->pitch = (stride + 7) / 8;
            last = (last + 7) / 8;
            break;
        case EBNN_PIXELS_MONO_VLSB:
            lines /= 8;
            break;
        case EBNN_PIXELS_GS8:
            break;
        default:
            return 0;
    }
    picture->size = lines * picture->pitch + last;
    return 1;
}

static int crop_fits(const ebnn_picture_t *picture) {
    return picture->crop_x < picture->width && picture->crop_w <= picture->width - picture->crop_x
        && picture->crop_y < picture->height && picture->crop_h <= picture->height - picture->crop_y
        && picture->crop_w >= picture->out_w && picture->crop_h >= picture->out_h
        && picture->crop_w * picture->crop_h <= EBNN_MAX_CROP;
}

int ebnn_picture_open(ebnn_picture_t *picture, const ebnn_t *net) {
    picture->out_w = net->input.width;
    picture->out_h = net->input.height;
    if (picture->prepare == 0 || !ebnn_preparation_fits(&net->input, picture->prepare, picture->threshold)) {
        return EBNN_E_PICTURE;
    }
    if (!measure_frame(picture)) {
        return EBNN_E_FRAME;
    }
    if (picture->crop_w == 0 && picture->crop_h == 0) {
        picture->crop_w = picture->width - picture->crop_x;
        picture->crop_h = picture->height - picture->crop_y;
    }
    if (!crop_fits(picture)) {
        return EBNN_E_CROP;
    }
    int resizes = picture->prepare & (EBNN_PREPARE_AVERAGE | EBNN_PREPARE_NEAREST);
    return resizes || is_same_size(picture) ? EBNN_OK : EBNN_E_PICTURE;
}

void ebnn_picture_row(const ebnn_picture_t *picture, const void *frame, uint32_t y, void *out) {
    memset(out, 0, picture->threshold == 0 ? picture->out_w : (picture->out_w + 7U) / 8);
    make_row(picture, frame, y, (uint8_t *)out, 0);
}

void ebnn_picture_input(const ebnn_picture_t *picture, const void *frame, void *out) {
    uint32_t pixels = (uint32_t)picture->out_w * picture->out_h;
    memset(out, 0, picture->threshold == 0 ? pixels : (pixels + 31) / 32 * 4);
    for (uint32_t y = 0; y < picture->out_h; y++) {
        make_row(picture, frame, y, (uint8_t *)out, y * picture->out_w);
    }
}
