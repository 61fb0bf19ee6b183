// ebnn.Input: what makes a model's input of a camera's or a display's frames. A part of modebnn.c.

typedef struct {
    mp_obj_base_t base;
    mp_obj_t buffer; // a bytearray, which every call gives
    uint32_t input_size;
    ebnn_picture_t picture;
} ebnn_input_obj_t;

#define RESIZES (EBNN_PREPARE_AVERAGE | EBNN_PREPARE_NEAREST)

enum { ARG_model, ARG_width, ARG_height, ARG_format, ARG_crop, ARG_stride, ARG_resize, ARG_invert, ARG_threshold };

// A number of pixels; one that is none becomes one that no frame has.
static uint32_t pixels_of(mp_obj_t number, mp_int_t least) {
    mp_int_t pixels = mp_obj_get_int(number);
    return pixels < least || pixels > UINT16_MAX ? UINT32_MAX : (uint32_t)pixels;
}

static qstr resize_name(uint8_t resize) {
    return resize == EBNN_PREPARE_AVERAGE ? MP_QSTR_average
        : resize == EBNN_PREPARE_NEAREST  ? MP_QSTR_nearest
                                          : MP_QSTR_none;
}

static uint8_t resize_of(mp_obj_t name) {
    for (uint8_t resize = 0; resize <= EBNN_PREPARE_NEAREST; resize += EBNN_PREPARE_AVERAGE) {
        if (mp_binary_op(MP_BINARY_OP_EQUAL, name, MP_OBJ_NEW_QSTR(resize_name(resize))) == mp_const_true) {
            return resize;
        }
    }
    RAISE(VALUE_ERROR, "resize must be 'average', 'nearest' or 'none'");
}

// What the model records is taken; nobody may say otherwise.
static void refuse_other(const ebnn_t *net, const ebnn_picture_t *wanted) {
    uint8_t differs = net->prepare ^ wanted->prepare;
    if (differs & RESIZES) {
        RAISE_FORMAT(VALUE_ERROR, "the model records resize='%q', not '%q'", (qstr)resize_name(net->prepare & RESIZES),
            (qstr)resize_name(wanted->prepare & RESIZES));
    }
    if (differs & EBNN_PREPARE_INVERT) {
        RAISE_FORMAT(VALUE_ERROR, "the model records invert=%s",
            net->prepare & EBNN_PREPARE_INVERT ? "True, not False" : "False, not True");
    }
    if (net->threshold != wanted->threshold) {
        RAISE_FORMAT(VALUE_ERROR, "the model records threshold=%u, not %u", (unsigned)net->threshold,
            (unsigned)wanted->threshold);
    }
}

static void choose_preparation(ebnn_picture_t *picture, const ebnn_t *net, const mp_arg_val_t *args) {
    mp_obj_t resize = args[ARG_resize].u_obj, invert = args[ARG_invert].u_obj, threshold = args[ARG_threshold].u_obj;
    bool is_recorded = net->prepare != 0, is_bits = net->input.dtype == EBNN_DTYPE_BITS;
    picture->prepare = is_recorded ? net->prepare : EBNN_PREPARE_RECORDED | EBNN_PREPARE_AVERAGE;
    picture->threshold = is_recorded ? net->threshold : is_bits ? 128 : 0;
    if (resize != mp_const_none) {
        picture->prepare = (uint8_t)((picture->prepare & ~RESIZES) | resize_of(resize));
    }
    if (invert != mp_const_none) {
        picture->prepare =
            (uint8_t)((picture->prepare & ~EBNN_PREPARE_INVERT) | (mp_obj_is_true(invert) ? EBNN_PREPARE_INVERT : 0));
    }
    if (threshold != mp_const_none) {
        mp_int_t gray = mp_obj_get_int(threshold);
        if (!is_bits || gray < 1 || gray > UINT8_MAX) {
            RAISE(VALUE_ERROR, "threshold must be 1 to 255, and is for inputs of bits");
        }
        picture->threshold = (uint8_t)gray;
    }
    if (is_recorded) {
        refuse_other(net, picture);
    }
}

static void choose_crop(ebnn_picture_t *picture, mp_obj_t crop) {
    uint32_t *const fields[4] = { &picture->crop_x, &picture->crop_y, &picture->crop_w, &picture->crop_h };
    if (crop == mp_const_none) {
        return;
    }
    if (mp_unary_op(MP_UNARY_OP_LEN, crop) != MP_OBJ_NEW_SMALL_INT(4)) {
        RAISE(VALUE_ERROR, "crop must be (x, y, width, height)");
    }
    for (int i = 0; i < 4; i++) {
        *fields[i] = pixels_of(mp_obj_subscr(crop, MP_OBJ_NEW_SMALL_INT(i), MP_OBJ_SENTINEL), i / 2);
    }
}

static mp_obj_t input_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *all_args) {
    const mp_arg_t allowed[] = {
        { MP_QSTR_model, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_width, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_height, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_format, MP_ARG_REQUIRED | MP_ARG_INT, { .u_int = 0 } },
        { MP_QSTR_crop, MP_ARG_KW_ONLY | MP_ARG_OBJ, { .u_obj = mp_const_none } },
        { MP_QSTR_stride, MP_ARG_KW_ONLY | MP_ARG_OBJ, { .u_obj = mp_const_none } },
        { MP_QSTR_resize, MP_ARG_KW_ONLY | MP_ARG_OBJ, { .u_obj = mp_const_none } },
        { MP_QSTR_invert, MP_ARG_KW_ONLY | MP_ARG_OBJ, { .u_obj = mp_const_none } },
        { MP_QSTR_threshold, MP_ARG_KW_ONLY | MP_ARG_OBJ, { .u_obj = mp_const_none } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all_args, MP_ARRAY_SIZE(allowed), allowed, args);
    const ebnn_t *net = &get_model(args[ARG_model].u_obj)->net;
    ebnn_input_obj_t *self = allocate(sizeof(ebnn_input_obj_t));
    memset(self, 0, sizeof(ebnn_input_obj_t));
    self->base.type = type;
    self->input_size = net->input_size;
    ebnn_picture_t *picture = &self->picture;
    picture->width = pixels_of(args[ARG_width].u_obj, 1);
    picture->height = pixels_of(args[ARG_height].u_obj, 1);
    picture->stride = args[ARG_stride].u_obj == mp_const_none ? 0 : pixels_of(args[ARG_stride].u_obj, 1);
    mp_int_t format = args[ARG_format].u_int;
    picture->format = format == (uint8_t)format ? (uint8_t)format : UINT8_MAX;
    choose_crop(picture, args[ARG_crop].u_obj);
    choose_preparation(picture, net, args);
    check_error(ebnn_picture_open(picture, net), NULL);
    self->buffer = mp_obj_new_bytearray_by_ref(net->input_size, allocate(net->input_size));
    return MP_OBJ_FROM_PTR(self);
}

// input(frame): the buffer with the frame's input.
static mp_obj_t input_call(mp_obj_t self_in, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    ebnn_input_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_buffer_info_t frame, out;
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    get_buffer(args[0], &frame, "frame must be bytes or a buffer");
    if (frame.len < self->picture.size) {
        RAISE_FORMAT(VALUE_ERROR, "frame must be %u bytes, got %u", (unsigned)self->picture.size, (unsigned)frame.len);
    }
    // A bytearray can be made longer or shorter by anybody.
    mp_get_buffer_raise(self->buffer, &out, MP_BUFFER_RW);
    if (out.len != self->input_size) {
        RAISE(VALUE_ERROR, "the buffer of the input has changed its size: make a new ebnn.Input");
    }
    ebnn_picture_input(&self->picture, frame.buf, out.buf);
    return self->buffer;
}
