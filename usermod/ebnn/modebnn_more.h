// What the module for the least memory leaves out, besides `Input`. Part of modebnn.c.

// The index of the class; None where the answer is not sure.
static mp_obj_t model_classify(mp_obj_t self_in, mp_obj_t input) {
    ebnn_model_obj_t *self = get_model(self_in);
    if (self->net.margin == 0) {
        RAISE(VALUE_ERROR, "the model has no min_margin: calibrate it (ebnn calibrate), or use infer");
    }
    return find_class(self, input, self->net.margin);
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_classify_obj, model_classify);

// State and window in one block, made at the first row; they stay, so that no later call allocates.
static ebnn_feed_t *model_feed_state(ebnn_model_obj_t *self) {
    if (self->feed == NULL) {
        ebnn_feed_t *feed = allocate(sizeof(ebnn_feed_t) + self->net.window_size);
        feed->window = feed + 1;
        feed->rows = 0;
        self->feed = feed;
    }
    return self->feed;
}

// feed(rows[, out]): one row of the input or several. None while rows are missing, then the index of the class.
static mp_obj_t model_feed(size_t n_args, const mp_obj_t *args) {
    ebnn_model_obj_t *self = get_model(args[0]);
    const ebnn_t *net = &self->net;
    ebnn_feed_t *feed = model_feed_state(self);
    if (self->busy) {
        raise_busy();
    }
    if (n_args > 2) {
        check_scores(net, args[2]);
    }
    mp_buffer_info_t info;
    int missing = net->input.height - (int)feed->rows;
    void *arena = NULL;
    size_t done = 0;
    do { // the buffer again for each row, because Python code may have run
        get_buffer(args[1], &info, "rows must be bytes or a buffer");
        size_t left = info.len - done;
        if (info.len <= done || left % net->row_size != 0 || left / net->row_size > (size_t)missing) {
            RAISE_FORMAT(VALUE_ERROR, "rows must be 1 to %u times %u bytes, got %u", (unsigned)missing,
                (unsigned)net->row_size, (unsigned)info.len);
        }
        run_t run = { .self = self };
        missing = run_job(&run, (const uint8_t *)info.buf + done, feed, &arena);
        done += net->row_size;
        if (missing != 0) {
            release(self);
        }
    } while (missing != 0 && done != info.len);
    if (missing != 0) {
        return mp_const_none;
    }
    mp_obj_t found = MP_OBJ_NEW_SMALL_INT(ebnn_argmax(net, arena));
    if (n_args > 2) {
        give_scores(self, arena, args[2]);
    } else {
        release(self);
    }
    return found;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_feed_obj, 2, 3, model_feed);

static mp_obj_t model_trace(size_t n_args, const mp_obj_t *args) {
    ebnn_model_obj_t *self = get_model(args[0]);
    size_t count = self->net.node_count;
    run_t run = { .self = self, .input = args[1], .hook = n_args > 2 ? args[2] : MP_OBJ_NULL };
    run.results = new_tuple(count);
    run.crcs = n_args > 2 ? NULL : allocate(count * sizeof(uint32_t));
    void *arena;
    run_job(&run, input_data(&self->net, run.input), NULL, &arena);
    release(self);
    for (size_t i = 0; run.crcs != NULL && i < count; i++) {
        run.results->items[i] = mp_obj_new_int_from_uint(run.crcs[i]);
    }
    return MP_OBJ_FROM_PTR(run.results);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_trace_obj, 2, 3, model_trace);

static mp_obj_t model_selftest(mp_obj_t self_in) {
    ebnn_model_obj_t *self = get_model(self_in);
    uint8_t *input = allocate(self->net.input_size);
    ebnn_selftest_input(&self->net, input);
    run_t run = { .self = self };
    void *arena;
    run_job(&run, input, NULL, &arena);
    bool is_right = ebnn_scores_crc(&self->net, arena) == self->net.selftest_crc;
    release(self);
    m_del(uint8_t, input, self->net.input_size);
    return mp_obj_new_bool(is_right);
}
static MP_DEFINE_CONST_FUN_OBJ_1(model_selftest_obj, model_selftest);

static bool is_utf8(const uint8_t *text, size_t length) {
    size_t missing = 0; // bytes of the character
    // Of its next byte: no character is longer than it has to be, a surrogate, or beyond 10FFFF.
    uint8_t least = 0x80, most = 0xbf;
    for (; length != 0; length--, text++) {
        uint8_t byte = *text;
        if (missing != 0) {
            if (byte < least || byte > most) {
                return false;
            }
            missing--;
            least = 0x80, most = 0xbf;
        } else if (byte >= 0x80) {
            if (byte < 0xc2 || byte > 0xf4) {
                return false;
            }
            missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
            least = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
            most = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
        }
    }
    return missing == 0;
}

// A label as a string; of one that is no UTF-8 the ASCII characters.
static mp_obj_t new_label(const char *text, size_t length) {
    char ascii[UINT8_MAX];
    if (is_utf8((const uint8_t *)text, length)) {
        return mp_obj_new_str(text, length);
    }
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)text[i] < 0x80) {
            ascii[count++] = text[i];
        }
    }
    return mp_obj_new_str(ascii, count);
}

static mp_obj_t get_labels(const ebnn_model_obj_t *self) {
    if (self->net.labels == 0) {
        return mp_const_none;
    }
    const void *model = model_data(self);
    mp_obj_tuple_t *tuple = new_tuple(self->net.classes);
    for (size_t i = 0; i < self->net.classes; i++) {
        size_t length = 0;
        const char *text = ebnn_label(&self->net, model, i, &length);
        tuple->items[i] = new_label(text, text == NULL ? 0 : length);
    }
    return MP_OBJ_FROM_PTR(tuple);
}

static mp_obj_t get_input_shape(const ebnn_model_obj_t *self) {
    const ebnn_value_t *in = &self->net.input;
    mp_obj_t shape[3] = {
        MP_OBJ_NEW_SMALL_INT(in->height),
        MP_OBJ_NEW_SMALL_INT(in->width),
        MP_OBJ_NEW_SMALL_INT(in->channels),
    };
    return mp_obj_new_tuple(3, shape);
}

static void model_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    (void)kind;
    const ebnn_t *net = &((ebnn_model_obj_t *)MP_OBJ_TO_PTR(self_in))->net;
    mp_printf(print, "<ebnn.Model %ux%ux%u %s -> %u scores, %u bytes, arena %u>", (unsigned)net->input.height,
        (unsigned)net->input.width, (unsigned)net->input.channels, input_kind(net), (unsigned)net->classes,
        (unsigned)net->size, (unsigned)net->arena_size);
}

static mp_obj_t module_classify(mp_obj_t input) {
    return model_classify(default_model(), input);
}
static MP_DEFINE_CONST_FUN_OBJ_1(module_classify_obj, module_classify);

static mp_obj_t module_crc32(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[0], &info, MP_BUFFER_READ);
    uint32_t crc = n_args > 1 ? (uint32_t)mp_obj_get_int_truncated(args[1]) : 0;
    return mp_obj_new_int_from_uint(ebnn_crc32(crc, info.buf, info.len));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(module_crc32_obj, 1, 2, module_crc32);

// Their rows in the lists of modebnn.c.

#define MORE_ATTRIBUTES(X) \
    X(MP_QSTR_input_shape, get_input_shape(self)) \
    X(MP_QSTR_labels, get_labels(self)) \
    X(MP_QSTR_margin, self->has_answered ? mp_obj_new_int_from_uint(self->margin) : mp_const_none) \
    X(MP_QSTR_min_margin, self->net.margin != 0 ? mp_obj_new_int_from_uint(self->net.margin) : mp_const_none) \
    X(MP_QSTR_row_size, mp_obj_new_int_from_uint(self->net.row_size)) \
    X(MP_QSTR_window_size, mp_obj_new_int_from_uint(self->net.window_size)) \
    X(MP_QSTR_size, mp_obj_new_int_from_uint(self->net.size)) \
    X(MP_QSTR_copied, mp_obj_new_int_from_uint(self->copy != NULL ? self->net.size : 0))

#define MORE_METHODS(X) \
    X(MP_QSTR_classify, model_classify_obj) \
    X(MP_QSTR_feed, model_feed_obj) \
    X(MP_QSTR_trace, model_trace_obj) \
    X(MP_QSTR_selftest, model_selftest_obj)
#define MORE_FUNCTIONS(X) \
    X(MP_QSTR_classify, module_classify_obj) \
    X(MP_QSTR_crc32, module_crc32_obj)
// Pixel formats; up to 6 they are framebuf's own numbers.
#define MODULE_CONSTANTS(X) \
    X(MP_QSTR_MONO_VLSB, EBNN_PIXELS_MONO_VLSB) \
    X(MP_QSTR_MONO_HLSB, EBNN_PIXELS_MONO_HLSB) \
    X(MP_QSTR_MONO_HMSB, EBNN_PIXELS_MONO_HMSB) \
    X(MP_QSTR_GS8, EBNN_PIXELS_GS8) \
    X(MP_QSTR_RGB565, EBNN_PIXELS_RGB565) \
    X(MP_QSTR_RGB565_SWAPPED, EBNN_PIXELS_RGB565_SWAPPED)
