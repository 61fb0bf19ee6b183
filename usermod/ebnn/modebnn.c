// The module `ebnn`: binding of the engine to MicroPython. engine/ebnn.h is the engine's manual.

#include <string.h>

#include "py/binary.h"
#include "py/builtin.h"
#include "py/objstr.h"
#include "py/objtuple.h"
#include "py/runtime.h"
#include "py/unicode.h"

#include "engine/ebnn.h"

#define EBNN_VERSION "0.1.0"

#ifndef MP_NORETURN // MicroPython before 1.26
#define MP_NORETURN NORETURN
#endif

typedef struct {
    mp_obj_base_t base;
    mp_obj_t blob; // keeps the model's bytes alive
    mp_obj_t arena_obj; // the caller's arena, or MP_OBJ_NULL
    const void *data; // where the model's bytes were when they were opened
    void *copy; // the aligned copy of a misaligned model, or NULL
    uint32_t *arena; // our own arena, or NULL
    ebnn_node_t *nodes;
    ebnn_feed_t *feed; // with its window behind it, or NULL
    ebnn_t net;
    bool busy;
} ebnn_model_obj_t;

extern const mp_obj_type_t ebnn_type_model;

// --- errors --------------------------------------------------------------------------------------------------------

static MP_NORETURN void raise_error(int error, const uint8_t *model) {
    if (error == EBNN_E_VERSION) {
        mp_raise_msg_varg(&mp_type_ValueError,
            MP_ERROR_TEXT("model format %u.%u, this ebnn reads %u.%u: update the firmware or export again"),
            (unsigned)model[4], (unsigned)model[5], EBNN_FORMAT_MAJOR, EBNN_FORMAT_MINOR);
    }
    mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s"), ebnn_error_text(error));
}

static size_t check_error(int rc, const void *model) {
    if (rc < 0) {
        raise_error(rc, model);
    }
    return (size_t)rc;
}

static void check_input(const ebnn_t *net, size_t size) {
    if (size != net->input_size) {
        const ebnn_value_t *in = &net->input;
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("input must be %u bytes (%ux%ux%u %s), got %u"),
            (unsigned)net->input_size, (unsigned)in->height, (unsigned)in->width, (unsigned)in->channels,
            in->dtype == EBNN_DTYPE_U8 ? "uint8" : "packed bits", (unsigned)size);
    }
}

// The bytes of an argument; TypeError says what it should have been.
static void get_buffer(mp_obj_t arg, mp_buffer_info_t *info, const char *wanted) {
    if (!mp_get_buffer(arg, info, MP_BUFFER_READ)) {
        mp_raise_msg_varg(&mp_type_TypeError, MP_ERROR_TEXT("%s, got %s"), wanted, mp_obj_get_type_str(arg));
    }
}

// --- making a model ------------------------------------------------------------------------------------------------

// The content of a file as a bytes object; closes the file whatever happens.
static mp_obj_t read_file(mp_obj_t path) {
    mp_obj_t args[2] = { path, MP_OBJ_NEW_QSTR(MP_QSTR_rb) };
    mp_obj_t file = mp_call_function_n_kw(mp_load_name(MP_QSTR_open), 2, 0, args);
    mp_obj_t method[2], content = MP_OBJ_NULL;
    nlr_buf_t nlr;
    bool failed = nlr_push(&nlr) != 0;
    if (!failed) {
        mp_load_method(file, MP_QSTR_read, method);
        content = mp_call_method_n_kw(0, 0, method);
        nlr_pop();
    }
    mp_load_method(file, MP_QSTR_close, method);
    mp_call_method_n_kw(0, 0, method);
    if (failed) {
        nlr_jump(nlr.ret_val);
    }
    return content;
}

static bool is_aligned(const void *p) {
    return (uintptr_t)p % 4 == 0;
}

// The arena, ours or the caller's; the caller's may move between two calls.
static void *model_arena(const ebnn_model_obj_t *self) {
    if (self->arena != NULL) {
        return self->arena;
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(self->arena_obj, &info, MP_BUFFER_RW);
    size_t lead = -(uintptr_t)info.buf % 4;
    if (info.len < lead + self->net.arena_size) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("arena must have %u bytes, got %u"),
            (unsigned)(self->net.arena_size + lead), (unsigned)info.len);
    }
    return (uint8_t *)info.buf + lead;
}

static mp_obj_t new_model(mp_obj_t blob, mp_obj_t arena) {
    if (mp_obj_is_str(blob)) {
        blob = read_file(blob);
    }
    mp_buffer_info_t info;
    get_buffer(blob, &info, "model must be bytes, a buffer or the path of a file");
    size_t count = check_error(ebnn_node_count(info.buf, info.len), info.buf);
    ebnn_model_obj_t *self = mp_obj_malloc(ebnn_model_obj_t, &ebnn_type_model);
    self->blob = blob;
    self->arena_obj = arena;
    self->data = info.buf;
    self->copy = NULL;
    self->arena = NULL;
    self->feed = NULL;
    self->busy = false;
    self->nodes = m_new(ebnn_node_t, count);
    check_error(ebnn_open(&self->net, self->nodes, count, info.buf, info.len), info.buf);
    if (!is_aligned(info.buf)) {
        self->copy = m_new(uint8_t, info.len);
        memcpy(self->copy, info.buf, info.len);
    }
    if (arena == MP_OBJ_NULL) {
        self->arena = m_new(uint32_t, self->net.arena_size / 4);
    }
    model_arena(self); // a caller's arena that does not do is refused here
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *all_args) {
    (void)type;
    enum { ARG_model, ARG_arena };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_model, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_arena, MP_ARG_OBJ, { .u_obj = MP_ROM_NONE } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all_args, MP_ARRAY_SIZE(allowed), allowed, args);
    mp_obj_t arena = args[ARG_arena].u_obj;
    return new_model(args[ARG_model].u_obj, arena == mp_const_none ? MP_OBJ_NULL : arena);
}

// --- running -------------------------------------------------------------------------------------------------------

// The model's bytes; they must still be where they were.
static const void *model_data(ebnn_model_obj_t *self) {
    if (self->copy != NULL) {
        return self->copy;
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(self->blob, &info, MP_BUFFER_READ);
    if (info.buf != self->data || info.len != self->net.size) {
        mp_raise_ValueError(MP_ERROR_TEXT("the model's buffer has moved or changed its size: make a new ebnn.Model"));
    }
    return self->data;
}

// What the engine's callbacks need: Python code may run in them, and it may move or free what the engine works on.
typedef struct {
    ebnn_model_obj_t *self;
    const ebnn_job_t *job;
    mp_obj_t input; // MP_OBJ_NULL: a buffer of our own
    mp_obj_tuple_t *trace; // or NULL
    mp_obj_t hook; // or MP_OBJ_NULL
} run_t;

static const void *input_data(const run_t *run, mp_obj_t input) {
    mp_buffer_info_t info;
    get_buffer(input, &info, "input must be bytes or a buffer");
    check_input(&run->self->net, info.len);
    return info.buf;
}

// After Python code has run: everything must still be where the engine believes it to be.
static void check_in_place(const run_t *run) {
    const void *input = run->input == MP_OBJ_NULL ? run->job->input : input_data(run, run->input);
    if (input != run->job->input || model_arena(run->self) != run->job->arena
        || model_data(run->self) != run->job->model) {
        mp_raise_ValueError(MP_ERROR_TEXT("input or arena has moved while the model ran"));
    }
}

// Ctrl-C and scheduled callbacks, once a row; may raise. Nothing moves where nothing was pending, and looking costs ten
// times as much as asking.
static int poll_vm(void *ctx) {
    bool was_pending = MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL;
#if MICROPY_ENABLE_SCHEDULER
    was_pending = was_pending || MP_STATE_VM(sched_state) == MP_SCHED_PENDING;
#endif
    mp_handle_pending(true);
    if (was_pending) {
        check_in_place(ctx);
    }
    return 0;
}

// What trace() collects: a CRC-32 of each node's output, or what the caller's function returns after each node.
static void trace_node(void *ctx, uint32_t node, const void *data, uint32_t size) {
    const run_t *run = ctx;
    if (run->trace == NULL) {
        return;
    }
    if (run->hook == MP_OBJ_NULL) {
        run->trace->items[node] = mp_obj_new_int_from_uint(ebnn_crc32(0, data, size));
        return;
    }
    run->trace->items[node] = mp_call_function_0(run->hook);
    check_in_place(run);
}

// Run the engine, on a whole input or (`feed`) on its next row; what it says. The arena is in *arena.
static int run_job(run_t *run, const void *input, ebnn_feed_t *feed, void **arena) {
    ebnn_model_obj_t *self = run->self;
    if (self->busy) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("busy"));
    }
    ebnn_job_t job = {
        .model = model_data(self),
        .arena = model_arena(self),
        .arena_size = self->net.arena_size,
        .input = input,
        .poll = poll_vm,
        .trace = trace_node,
        .ctx = run,
    };
    run->job = &job;
    nlr_buf_t nlr;
    if (feed == NULL && self->feed != NULL) {
        self->feed->rows = 0; // this run takes the arena from an input that is fed
    }
    self->busy = true;
    if (nlr_push(&nlr) != 0) {
        self->busy = false;
        if (feed != NULL) {
            feed->rows = 0;
        }
        nlr_jump(nlr.ret_val);
    }
    int rc = feed == NULL ? ebnn_run(&self->net, &job) : ebnn_feed(&self->net, &job, feed);
    nlr_pop();
    self->busy = false;
    *arena = job.arena;
    return (int)check_error(rc, job.model);
}

static void *run_input(mp_obj_t self, mp_obj_t input) {
    run_t run = { .self = MP_OBJ_TO_PTR(self), .input = input };
    void *arena;
    run_job(&run, input_data(&run, input), NULL, &arena);
    return arena;
}

static mp_obj_t model_infer(mp_obj_t self_in, mp_obj_t input) {
    ebnn_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    return MP_OBJ_NEW_SMALL_INT(ebnn_argmax(&self->net, run_input(self_in, input)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_infer_obj, model_infer);

// Check that `out` holds the scores: an array('i') or array('l') of 32-bit items.
static void *scores_buffer(const ebnn_t *net, mp_obj_t out) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(out, &info, MP_BUFFER_RW);
    size_t align;
    bool is_int = info.typecode == 'i' || info.typecode == 'l';
    if (!is_int || mp_binary_get_size('@', (char)info.typecode, &align) != 4) {
        mp_raise_TypeError(MP_ERROR_TEXT("out must be array('i')"));
    }
    if (info.len != 4 * net->classes) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("out must have %u items, got %u"), (unsigned)net->classes,
            (unsigned)(info.len / 4));
    }
    return info.buf;
}

static mp_obj_t model_scores(size_t n_args, const mp_obj_t *args) {
    ebnn_model_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    if (n_args > 2) {
        scores_buffer(&self->net, args[2]); // refused before the work, not after it
    }
    const int32_t *scores = ebnn_scores(&self->net, run_input(args[0], args[1]));
    if (n_args > 2) {
        memcpy(scores_buffer(&self->net, args[2]), scores, 4 * self->net.classes);
        return args[2];
    }
    mp_obj_tuple_t *tuple = MP_OBJ_TO_PTR(mp_obj_new_tuple(self->net.classes, NULL));
    for (size_t i = 0; i < self->net.classes; i++) {
        tuple->items[i] = mp_obj_new_int(scores[i]);
    }
    return MP_OBJ_FROM_PTR(tuple);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_scores_obj, 2, 3, model_scores);

// State and window in one block, made at the first row; they stay, so that no later call allocates.
static ebnn_feed_t *model_feed_state(ebnn_model_obj_t *self) {
    if (self->feed == NULL) {
        ebnn_feed_t *feed = m_malloc(sizeof(ebnn_feed_t) + self->net.window_size);
        feed->window = feed + 1;
        feed->rows = 0;
        self->feed = feed;
    }
    return self->feed;
}

// feed(rows[, out]): one row of the input or several. None while rows are missing, then the index of the class.
static mp_obj_t model_feed(size_t n_args, const mp_obj_t *args) {
    ebnn_model_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    const ebnn_t *net = &self->net;
    ebnn_feed_t *feed = model_feed_state(self);
    if (n_args > 2) {
        scores_buffer(net, args[2]);
    }
    int missing = net->input.height - (int)feed->rows;
    void *arena = NULL;
    size_t done = 0;
    do {
        mp_buffer_info_t info; // again for each row, because Python code may have run
        get_buffer(args[1], &info, "rows must be bytes or a buffer");
        if (info.len == 0 || info.len % net->row_size != 0 || info.len < done
            || (info.len - done) / net->row_size > (size_t)missing) {
            mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("rows must be 1 to %u times %u bytes, got %u"),
                (unsigned)missing, (unsigned)net->row_size, (unsigned)info.len);
        }
        run_t run = { .self = self, .input = MP_OBJ_NULL };
        missing = run_job(&run, (const uint8_t *)info.buf + done, feed, &arena);
        done += net->row_size;
        if (done == info.len) {
            break;
        }
    } while (missing != 0);
    if (missing != 0) {
        return mp_const_none;
    }
    if (n_args > 2) {
        memcpy(scores_buffer(net, args[2]), ebnn_scores(net, arena), 4 * net->classes);
    }
    return MP_OBJ_NEW_SMALL_INT(ebnn_argmax(net, arena));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_feed_obj, 2, 3, model_feed);

static mp_obj_t model_trace(size_t n_args, const mp_obj_t *args) {
    run_t run = { .self = MP_OBJ_TO_PTR(args[0]), .input = args[1], .hook = n_args > 2 ? args[2] : MP_OBJ_NULL };
    run.trace = MP_OBJ_TO_PTR(mp_obj_new_tuple(run.self->net.node_count, NULL));
    for (size_t i = 0; i < run.self->net.node_count; i++) {
        run.trace->items[i] = mp_const_none;
    }
    void *arena;
    run_job(&run, input_data(&run, run.input), NULL, &arena);
    return MP_OBJ_FROM_PTR(run.trace);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_trace_obj, 2, 3, model_trace);

static mp_obj_t model_selftest(mp_obj_t self_in) {
    ebnn_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    uint8_t *input = m_new(uint8_t, self->net.input_size);
    ebnn_selftest_input(&self->net, input);
    run_t run = { .self = self, .input = MP_OBJ_NULL };
    void *arena;
    run_job(&run, input, NULL, &arena);
    m_del(uint8_t, input, self->net.input_size);
    return mp_obj_new_bool(ebnn_scores_crc(&self->net, arena) == self->net.selftest_crc);
}
static MP_DEFINE_CONST_FUN_OBJ_1(model_selftest_obj, model_selftest);

// --- attributes ----------------------------------------------------------------------------------------------------

// A label as a string; of one that is no UTF-8 the ASCII characters.
static mp_obj_t new_label(const char *text, size_t length) {
    if (utf8_check((const byte *)text, length)) {
        return mp_obj_new_str(text, length);
    }
    char ascii[UINT8_MAX];
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)text[i] < 0x80) {
            ascii[count++] = text[i];
        }
    }
    return mp_obj_new_str(ascii, count);
}

static mp_obj_t get_labels(ebnn_model_obj_t *self) {
    if (self->net.labels == 0) {
        return mp_const_none;
    }
    const void *model = model_data(self);
    mp_obj_tuple_t *tuple = MP_OBJ_TO_PTR(mp_obj_new_tuple(self->net.classes, NULL));
    for (size_t i = 0; i < self->net.classes; i++) {
        tuple->items[i] = MP_OBJ_NEW_QSTR(MP_QSTR_);
    }
    for (size_t i = 0; i < self->net.classes; i++) {
        size_t length = 0;
        const char *text = ebnn_label(&self->net, model, i, &length);
        if (text != NULL) {
            tuple->items[i] = new_label(text, length);
        }
    }
    return MP_OBJ_FROM_PTR(tuple);
}

static mp_obj_t get_input_shape(const ebnn_value_t *in) {
    mp_obj_t shape[3] = {
        MP_OBJ_NEW_SMALL_INT(in->height),
        MP_OBJ_NEW_SMALL_INT(in->width),
        MP_OBJ_NEW_SMALL_INT(in->channels),
    };
    return mp_obj_new_tuple(3, shape);
}

static void model_attr(mp_obj_t self_in, qstr name, mp_obj_t *dest) {
    ebnn_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        return; // attributes are read-only
    }
    switch (name) {
        case MP_QSTR_input_shape:
            dest[0] = get_input_shape(&self->net.input);
            break;
        case MP_QSTR_input_size:
            dest[0] = mp_obj_new_int_from_uint(self->net.input_size);
            break;
        case MP_QSTR_labels:
            dest[0] = get_labels(self);
            break;
        case MP_QSTR_classes:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->net.classes);
            break;
        case MP_QSTR_arena_size:
            dest[0] = mp_obj_new_int_from_uint(self->net.arena_size);
            break;
        case MP_QSTR_row_size:
            dest[0] = mp_obj_new_int_from_uint(self->net.row_size);
            break;
        case MP_QSTR_window_size:
            dest[0] = mp_obj_new_int_from_uint(self->net.window_size);
            break;
        case MP_QSTR_size:
            dest[0] = mp_obj_new_int_from_uint(self->net.size);
            break;
        case MP_QSTR_copied:
            dest[0] = mp_obj_new_int_from_uint(self->copy != NULL ? self->net.size : 0);
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; // go on in the dict of methods
    }
}

static void model_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    (void)kind;
    const ebnn_t *net = &((ebnn_model_obj_t *)MP_OBJ_TO_PTR(self_in))->net;
    mp_printf(print, "<ebnn.Model %ux%ux%u %s -> %u scores, %u bytes, arena %u>", (unsigned)net->input.height,
        (unsigned)net->input.width, (unsigned)net->input.channels,
        net->input.dtype == EBNN_DTYPE_U8 ? "uint8" : "packed bits", (unsigned)net->classes, (unsigned)net->size,
        (unsigned)net->arena_size);
}

static const mp_rom_map_elem_t model_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_infer), MP_ROM_PTR(&model_infer_obj) },
    { MP_ROM_QSTR(MP_QSTR_scores), MP_ROM_PTR(&model_scores_obj) },
    { MP_ROM_QSTR(MP_QSTR_feed), MP_ROM_PTR(&model_feed_obj) },
    { MP_ROM_QSTR(MP_QSTR_trace), MP_ROM_PTR(&model_trace_obj) },
    { MP_ROM_QSTR(MP_QSTR_selftest), MP_ROM_PTR(&model_selftest_obj) },
};
static MP_DEFINE_CONST_DICT(model_locals, model_locals_table);

// clang-format off
MP_DEFINE_CONST_OBJ_TYPE(
    ebnn_type_model,
    MP_QSTR_Model,
    MP_TYPE_FLAG_NONE,
    make_new, model_make_new,
    print, model_print,
    attr, model_attr,
    locals_dict, &model_locals
    );
// clang-format on

// --- the module ----------------------------------------------------------------------------------------------------

// The default model lives in sys.modules: it survives garbage collection and a second import of this module, and goes
// with everything else at a soft reset.
static mp_obj_t default_key(void) {
    return MP_OBJ_NEW_QSTR(MP_QSTR___ebnn_default__);
}

static mp_obj_t modules(void) {
    return MP_OBJ_FROM_PTR(&MP_STATE_VM(mp_loaded_modules_dict));
}

// The blob of the module `ebnn_model`, frozen or on the file system.
static mp_obj_t import_blob(void) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) {
        mp_obj_t error = MP_OBJ_FROM_PTR(nlr.ret_val);
        if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(error)), MP_OBJ_FROM_PTR(&mp_type_ImportError))) {
            mp_raise_msg(&mp_type_ImportError,
                MP_ERROR_TEXT("no module ebnn_model: freeze or copy one, or use ebnn.Model(blob)"));
        }
        nlr_jump(nlr.ret_val);
    }
    mp_obj_t module = mp_import_name(MP_QSTR_ebnn_model, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    nlr_pop();
    return mp_load_attr(module, MP_QSTR_model);
}

static mp_obj_t module_load(size_t n_args, const mp_obj_t *args) {
    mp_obj_t model = n_args > 0 ? args[0] : import_blob();
    if (!mp_obj_is_type(model, &ebnn_type_model)) {
        model = new_model(model, MP_OBJ_NULL);
    }
    mp_obj_dict_store(modules(), default_key(), model);
    return model;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(module_load_obj, 0, 1, module_load);

static mp_obj_t module_infer(mp_obj_t input) {
    mp_map_elem_t *found = mp_map_lookup(mp_obj_dict_get_map(modules()), default_key(), MP_MAP_LOOKUP);
    // Anybody can write to sys.modules.
    bool is_model = found != NULL && mp_obj_is_type(found->value, &ebnn_type_model);
    return model_infer(is_model ? found->value : module_load(0, NULL), input);
}
static MP_DEFINE_CONST_FUN_OBJ_1(module_infer_obj, module_infer);

static mp_obj_t module_crc32(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[0], &info, MP_BUFFER_READ);
    uint32_t crc = n_args > 1 ? (uint32_t)mp_obj_get_int_truncated(args[1]) : 0;
    return mp_obj_new_int_from_uint(ebnn_crc32(crc, info.buf, info.len));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(module_crc32_obj, 1, 2, module_crc32);

static const mp_rom_obj_tuple_t format_tuple = {
    { &mp_type_tuple },
    2,
    { MP_ROM_INT(EBNN_FORMAT_MAJOR), MP_ROM_INT(EBNN_FORMAT_MINOR) },
};
static const MP_DEFINE_STR_OBJ(version_str, EBNN_VERSION);

static const mp_rom_map_elem_t module_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_ebnn) },
    { MP_ROM_QSTR(MP_QSTR___version__), MP_ROM_PTR(&version_str) },
    { MP_ROM_QSTR(MP_QSTR_FORMAT), MP_ROM_PTR(&format_tuple) },
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&ebnn_type_model) },
    { MP_ROM_QSTR(MP_QSTR_load), MP_ROM_PTR(&module_load_obj) },
    { MP_ROM_QSTR(MP_QSTR_infer), MP_ROM_PTR(&module_infer_obj) },
    { MP_ROM_QSTR(MP_QSTR_crc32), MP_ROM_PTR(&module_crc32_obj) },
};
static MP_DEFINE_CONST_DICT(module_globals, module_globals_table);

const mp_obj_module_t ebnn_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};

MP_REGISTER_MODULE(MP_QSTR_ebnn, ebnn_module);
