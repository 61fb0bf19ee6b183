// The module `ebnn`: binding of the engine to MicroPython. engine/ebnn.h is the engine's manual.

#include "ebnn_mp.h"

#include "engine/ebnn.h"

#define EBNN_VERSION "0.1.0"

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
    uint32_t margin; // of the last answer
    bool busy, has_answered;
    mp_obj_t guard, pending; // what catches exceptions in a native module, and runs what is pending
} ebnn_model_obj_t;

static mp_obj_t model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *all_args);
static mp_obj_t model_of(mp_obj_t blob);

static mp_obj_tuple_t *new_tuple(size_t count) {
    mp_obj_tuple_t *tuple = MP_OBJ_TO_PTR(mp_obj_new_tuple(count, NULL));
    for (size_t i = 0; i < count; i++) {
        tuple->items[i] = mp_const_none;
    }
    return tuple;
}

static bool is_model(mp_obj_t obj) {
    const mp_obj_type_t *type = mp_obj_get_type(obj);
    return MP_OBJ_TYPE_GET_SLOT_OR_NULL(type, make_new) == model_make_new;
}

// --- errors --------------------------------------------------------------------------------------------------------

static MP_NORETURN void raise_error(int error, const uint8_t *model) {
#ifdef EBNN_SMALL
    (void)model;
    mp_raise_type_arg(VALUE_ERROR, MP_OBJ_NEW_SMALL_INT(error)); // enum in engine/ebnn_ops.h
#else
    if (error == EBNN_E_VERSION) {
        RAISE_FORMAT(VALUE_ERROR, "model format %u.%u, this ebnn reads %u.%u: update the firmware or export again",
            (unsigned)model[4], (unsigned)model[5], EBNN_FORMAT_MAJOR, EBNN_FORMAT_MINOR);
    }
    RAISE_FORMAT(VALUE_ERROR, "%s", ebnn_error_text(error));
#endif
}

static size_t check_error(int rc, const void *model) {
    if (rc < 0) {
        raise_error(rc, model);
    }
    return (size_t)rc;
}

#ifndef EBNN_SMALL // whose errors have no text
static const char *input_kind(const ebnn_t *net) {
    switch (net->input.dtype) {
        case EBNN_DTYPE_BITS:
            return "packed bits";
        case EBNN_DTYPE_I8:
            return "int8";
        case EBNN_DTYPE_I16:
            return "int16";
        default:
            return "uint8";
    }
}
#endif

static void check_input(const ebnn_t *net, size_t size) {
    if (size != net->input_size) {
        RAISE_FORMAT(VALUE_ERROR, "input must be %u bytes (%ux%ux%u %s), got %u", (unsigned)net->input_size,
            (unsigned)net->input.height, (unsigned)net->input.width, (unsigned)net->input.channels, input_kind(net),
            (unsigned)size);
    }
}

// The bytes of an argument; TypeError says what it should have been.
static void get_buffer(mp_obj_t arg, mp_buffer_info_t *info, const char *wanted) {
    if (!mp_get_buffer(arg, info, MP_BUFFER_READ)) {
        RAISE_FORMAT(TYPE_ERROR, "%s, got %q", wanted, (qstr)mp_obj_get_type(arg)->name);
    }
}

// The Model in an object of a class that is derived from Model; other objects as they are.
static mp_obj_t find_model(mp_obj_t obj) {
#ifndef EBNN_SMALL
    const mp_obj_type_t *type = mp_obj_get_type(obj), *base = type;
    while (base != NULL && base->base.type == &mp_type_type) { // it is a tuple where there are several
        if (MP_OBJ_TYPE_GET_SLOT_OR_NULL(base, make_new) == model_make_new) {
            return base == type ? obj : ((mp_obj_instance_t *)MP_OBJ_TO_PTR(obj))->subobj[0];
        }
        base = MP_OBJ_TYPE_GET_SLOT_OR_NULL(base, parent);
    }
#endif
    return obj;
}

// A method of the class can be called with anything as self.
static ebnn_model_obj_t *get_model(mp_obj_t obj) {
    obj = find_model(obj);
    if (!is_model(obj)) { // also before a derived class has called super().__init__()
        RAISE(TYPE_ERROR, "not an ebnn.Model");
    }
    return MP_OBJ_TO_PTR(obj);
}

// --- making a model ------------------------------------------------------------------------------------------------

#ifndef EBNN_SMALL
// The content of a file as a bytes object; closes the file whatever happens.
static mp_obj_t read_file(mp_obj_t path) {
    mp_obj_t args[2] = { path, MP_OBJ_NEW_QSTR(MP_QSTR_rb) }, error = MP_OBJ_NULL;
    mp_obj_t file = mp_call_function_n_kw(mp_load_name(MP_QSTR_open), 2, 0, args);
    mp_obj_t content = call_guarded(find_guard(), mp_load_attr(file, MP_QSTR_read), MP_OBJ_NEW_SMALL_INT(-1), &error);
    mp_call_function_n_kw(mp_load_attr(file, MP_QSTR_close), 0, 0, NULL);
    if (error != MP_OBJ_NULL) {
        nlr_raise(error);
    }
    return content;
}
#endif

static bool is_aligned(const void *p) {
    return (uintptr_t)p % 4 == 0;
}

// The arena, ours or the caller's, which may move between two calls; NULL where it is too small.
static void *find_arena(const ebnn_model_obj_t *self) {
    if (self->arena != NULL) {
        return self->arena;
    }
    mp_buffer_info_t info;
    if (!mp_get_buffer(self->arena_obj, &info, MP_BUFFER_RW)) {
        return NULL;
    }
    size_t lead = -(uintptr_t)info.buf % 4;
    return info.len < lead + self->net.arena_size ? NULL : (uint8_t *)info.buf + lead;
}

static void *model_arena(const ebnn_model_obj_t *self) {
    void *arena = find_arena(self);
    if (arena == NULL) {
        mp_buffer_info_t info;
        mp_get_buffer_raise(self->arena_obj, &info, MP_BUFFER_RW);
        RAISE_FORMAT(VALUE_ERROR, "arena must have %u bytes, got %u",
            (unsigned)(self->net.arena_size + -(uintptr_t)info.buf % 4), (unsigned)info.len);
    }
    return arena;
}

static mp_obj_t new_model(const mp_obj_type_t *type, mp_obj_t blob, mp_obj_t arena) {
#ifndef EBNN_SMALL
    if (mp_obj_is_str(blob)) {
        blob = read_file(blob);
    }
#endif
    mp_buffer_info_t info;
    get_buffer(blob, &info, "model must be bytes, a buffer or the path of a file");
    size_t count = check_error(ebnn_node_count(info.buf, info.len), info.buf);
    ebnn_model_obj_t *self = allocate(sizeof(ebnn_model_obj_t));
    memset(self, 0, sizeof(ebnn_model_obj_t));
    self->base.type = type;
    self->blob = blob;
    self->arena_obj = arena;
    self->data = info.buf;
    self->guard = find_guard();
    self->pending = find_pending();
    self->nodes = allocate(count * sizeof(ebnn_node_t));
    check_error(ebnn_open(&self->net, self->nodes, count, info.buf, info.len), info.buf);
    if (!is_aligned(info.buf)) {
        self->copy = allocate(info.len);
        memcpy(self->copy, info.buf, info.len);
    }
    if (arena == MP_OBJ_NULL) {
        self->arena = allocate(self->net.arena_size);
    }
    model_arena(self); // a caller's arena that does not do is refused here
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *all_args) {
    enum { ARG_model, ARG_arena };
    const mp_arg_t allowed[] = {
        { MP_QSTR_model, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_arena, MP_ARG_OBJ, { .u_obj = mp_const_none } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all_args, MP_ARRAY_SIZE(allowed), allowed, args);
    mp_obj_t arena = args[ARG_arena].u_obj;
    return new_model(type, args[ARG_model].u_obj, arena == mp_const_none ? MP_OBJ_NULL : arena);
}

// --- running -------------------------------------------------------------------------------------------------------

// The model's bytes, or NULL where they are no longer where they were.
static const void *find_data(const ebnn_model_obj_t *self) {
    if (self->copy != NULL) {
        return self->copy;
    }
    mp_buffer_info_t info;
    bool is_there = mp_get_buffer(self->blob, &info, MP_BUFFER_READ) && info.len == self->net.size;
    return is_there && info.buf == self->data ? self->data : NULL;
}

static const void *model_data(const ebnn_model_obj_t *self) {
    const void *data = find_data(self);
    if (data == NULL) {
        RAISE(VALUE_ERROR, "the model's buffer has moved or changed its size: make a new ebnn.Model");
    }
    return data;
}

// What the engine's callbacks need. Python code may run in them, and it may move or free what the engine works on.
typedef struct {
    ebnn_model_obj_t *self;
    const ebnn_job_t *job;
    mp_obj_t input; // MP_OBJ_NULL: a buffer of our own
    mp_obj_t hook; // to be called after each node, or MP_OBJ_NULL
    mp_obj_tuple_t *results; // of the hook
    uint32_t *crcs; // of the nodes' outputs, or NULL
    ebnn_feed_t *feed; // of an input by rows, or NULL
    bool moved, owns; // owns: the model is busy because of this run
} run_t;

static const void *input_data(const ebnn_t *net, mp_obj_t input) {
    mp_buffer_info_t info;
    get_buffer(input, &info, "input must be bytes or a buffer");
    check_input(net, info.len);
    return info.buf;
}

// After Python code has run: whether all is where the engine believes it to be.
static bool is_in_place(const run_t *run) {
    mp_buffer_info_t info = { .buf = (void *)run->job->input, .len = run->self->net.input_size };
    bool has_input = run->input == MP_OBJ_NULL || mp_get_buffer(run->input, &info, MP_BUFFER_READ);
    return has_input && info.buf == run->job->input && info.len == run->self->net.input_size
        && find_arena(run->self) == run->job->arena && find_data(run->self) == run->job->model;
}

// Once a row; exceptions leave through the engine, up to the guard. Nothing moves where nothing was pending.
static int poll_vm(void *ctx) {
    run_t *run = ctx;
    if (run_pending(run->self->pending)) {
        run->moved = !is_in_place(run);
    }
    return run->moved;
}

#ifndef EBNN_SMALL
// For trace(): a CRC-32 of each node's output, or what the caller's function returns after each node.
static int trace_node(void *ctx, uint32_t node, const void *data, uint32_t size) {
    run_t *run = ctx;
    if (run->crcs != NULL) {
        run->crcs[node] = ebnn_crc32(0, data, size);
    } else if (run->hook != MP_OBJ_NULL) {
        run->results->items[node] = mp_call_function_n_kw(run->hook, 0, 0, NULL);
        run->moved = !is_in_place(run);
    }
    return run->moved;
}
#endif

static MP_NORETURN void raise_busy(void) {
    RAISE(RUNTIME_ERROR, "busy");
}

// After the results have been read: from now on another thread may use the arena.
static void release(ebnn_model_obj_t *self) {
    __atomic_thread_fence(__ATOMIC_RELEASE);
    self->busy = false;
}

// What the guard calls: everything that may raise, or in which a signal may. Of a run's address two bits are always 0.
static mp_obj_t start_run(mp_obj_t place) {
    run_t *run = (run_t *)((uintptr_t)MP_OBJ_SMALL_INT_VALUE(place) << 2);
    ebnn_model_obj_t *self = run->self;
    if (!take_flag(&self->busy)) {
        raise_busy();
    }
    run->owns = true;
#ifndef EBNN_SMALL
    if (run->feed != NULL) {
        return MP_OBJ_NEW_SMALL_INT(ebnn_feed(&self->net, run->job, run->feed));
    }
    if (self->feed != NULL) {
        self->feed->rows = 0; // this run takes the arena from an input that is fed
    }
#endif
    return MP_OBJ_NEW_SMALL_INT(ebnn_run(&self->net, run->job));
}
static MP_DEFINE_CONST_FUN_OBJ_1(start_run_obj, start_run);

// Run the engine, on a whole input or (`feed`) on its next row; what it says. The arena is in *arena; it is the caller's
// until release(), before which nothing may raise.
static int run_job(run_t *run, const void *input, ebnn_feed_t *feed, void **arena) {
    ebnn_model_obj_t *self = run->self;
    ebnn_job_t job = {
        .model = model_data(self),
        .arena = model_arena(self),
        .arena_size = self->net.arena_size,
        .input = input,
        .poll = poll_vm,
#ifndef EBNN_SMALL
        .trace = trace_node,
#endif
        .ctx = run,
    };
    run->job = &job;
    run->feed = feed;
    mp_obj_t place = MP_OBJ_NEW_SMALL_INT((mp_int_t)((uintptr_t)run >> 2));
    mp_obj_t error = MP_OBJ_NULL;
    mp_obj_t ended = run_guarded(self->guard, MP_OBJ_FROM_PTR(&start_run_obj), place, &error);
    int rc = error != MP_OBJ_NULL ? EBNN_E_STOPPED : (int)MP_OBJ_SMALL_INT_VALUE(ended);
    if (rc < EBNN_OK) {
        if (run->owns) {
            if (feed != NULL) {
                feed->rows = 0;
            }
            release(self);
        }
        if (error != MP_OBJ_NULL) {
            nlr_raise(error);
        }
        if (run->moved) {
            RAISE(VALUE_ERROR, "input or arena has moved while the model ran");
        }
        raise_error(rc, job.model);
    }
    *arena = job.arena;
#ifndef EBNN_SMALL
    if (rc == EBNN_OK) {
        self->margin = ebnn_margin(&self->net, job.arena);
        self->has_answered = true;
    }
#endif
    return rc;
}

static void *run_input(ebnn_model_obj_t *self, mp_obj_t input) {
    run_t run = { .self = self, .input = input };
    void *arena;
    run_job(&run, input_data(&self->net, input), NULL, &arena);
    return arena;
}

// The index of the class; None where the margin is below `least`.
static mp_obj_t find_class(ebnn_model_obj_t *self, mp_obj_t input, uint32_t least) {
    int found = ebnn_argmax(&self->net, run_input(self, input));
    bool is_sure = self->margin >= least;
    release(self);
    return is_sure ? MP_OBJ_NEW_SMALL_INT(found) : mp_const_none;
}

static mp_obj_t model_infer(mp_obj_t self_in, mp_obj_t input) {
    return find_class(get_model(self_in), input, 0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_infer_obj, model_infer);

static bool is_words(const mp_buffer_info_t *info) {
    size_t align;
    return (info->typecode == 'i' || info->typecode == 'l')
        && mp_binary_get_size('@', (char)info->typecode, &align) == 4;
}

// Where `out` takes the scores; NULL where it does not.
static void *find_scores(const ebnn_t *net, mp_obj_t out) {
    mp_buffer_info_t info;
    bool is_right = mp_get_buffer(out, &info, MP_BUFFER_RW) && is_words(&info) && info.len == 4 * net->classes;
    return is_right ? info.buf : NULL;
}

// Check that `out` takes the scores: an array('i') or array('l') of 32-bit items.
static void check_scores(const ebnn_t *net, mp_obj_t out) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(out, &info, MP_BUFFER_RW);
    if (!is_words(&info)) {
        RAISE(TYPE_ERROR, "out must be array('i')");
    }
    if (info.len != 4 * net->classes) {
        RAISE_FORMAT(VALUE_ERROR, "out must have %u items, got %u", (unsigned)net->classes, (unsigned)(info.len / 4));
    }
}

// As words at `to`, which need not be aligned.
static void copy_scores(const ebnn_t *net, const void *arena, void *to) {
    for (uint32_t i = 0; i < net->classes; i++) {
        int32_t score = ebnn_score(net, arena, i);
        memcpy((uint8_t *)to + 4 * i, &score, 4);
    }
}

// Copy the scores to `out`, which Python code may have changed since it was checked, and give the arena back.
static void give_scores(ebnn_model_obj_t *self, const void *arena, mp_obj_t out) {
    void *to = find_scores(&self->net, out);
    if (to != NULL) {
        copy_scores(&self->net, arena, to);
    }
    release(self);
    check_scores(&self->net, out);
}

// Copy the scores into the tuple's own memory, give the arena back, and make numbers of them, the last one first.
static void fill_scores(ebnn_model_obj_t *self, const void *arena, mp_obj_tuple_t *tuple) {
    copy_scores(&self->net, arena, tuple->items);
    release(self);
    for (size_t i = self->net.classes; i-- != 0;) {
        int32_t score;
        memcpy(&score, (const uint8_t *)tuple->items + 4 * i, 4);
        tuple->items[i] = mp_obj_new_int(score);
    }
}

static mp_obj_t model_scores(size_t n_args, const mp_obj_t *args) {
    ebnn_model_obj_t *self = get_model(args[0]);
    if (n_args > 2) {
        check_scores(&self->net, args[2]); // refused before the work, not after it
        give_scores(self, run_input(self, args[1]), args[2]);
        return args[2];
    }
    mp_obj_tuple_t *tuple = new_tuple(self->net.classes);
    fill_scores(self, run_input(self, args[1]), tuple);
    return MP_OBJ_FROM_PTR(tuple);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_scores_obj, 2, 3, model_scores);

// --- the module ----------------------------------------------------------------------------------------------------

// The default model lives in sys.modules: it survives garbage collection and a second import of this module, and goes
// with everything else at a soft reset.
static mp_obj_t default_key(void) {
    return MP_OBJ_NEW_QSTR(MP_QSTR___ebnn_default__);
}

// The blob of the module `ebnn_model`, frozen or on the file system.
static mp_obj_t import_blob(void) {
#ifdef EBNN_SMALL
    return mp_load_attr(import_module(MP_QSTR_ebnn_model), MP_QSTR_model);
#else
    mp_obj_t error = MP_OBJ_NULL;
    mp_obj_t module = import_guarded(MP_QSTR_ebnn_model, &error);
    if (error == MP_OBJ_NULL) {
        return mp_load_attr(module, MP_QSTR_model);
    }
    if (is_error(error, IMPORT_ERROR)) {
        RAISE(IMPORT_ERROR, "no module ebnn_model: freeze or copy one, or use ebnn.Model(blob)");
    }
    nlr_raise(error);
#endif
}

static mp_obj_t module_load(size_t n_args, const mp_obj_t *args) {
    mp_obj_t given = n_args > 0 ? args[0] : import_blob(), model = find_model(given);
    if (!is_model(model)) {
        given = model = model_of(given);
    }
    mp_obj_dict_store(loaded_modules(), default_key(), model);
    return given;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(module_load_obj, 0, 1, module_load);

static mp_obj_t default_model(void) {
    mp_obj_t model = find_loaded(default_key());
    // Anybody can write to sys.modules.
    return is_model(model) ? model : module_load(0, NULL);
}

static mp_obj_t module_infer(mp_obj_t input) {
    return model_infer(default_model(), input);
}
static MP_DEFINE_CONST_FUN_OBJ_1(module_infer_obj, module_infer);

// --- what only the whole module has ----------------------------------------------------------------------------------

#ifdef EBNN_SMALL
#define MORE_ATTRIBUTES(X)
#define MORE_METHODS(X)
#define MORE_FUNCTIONS(X)
#define MODULE_CONSTANTS(X)
#else
#include "modebnn_input.h"
#include "modebnn_more.h"
#endif

// --- attributes ----------------------------------------------------------------------------------------------------

// X(name, value); the names are spelled out, because tools look for them in the source.
#define MODEL_ATTRIBUTES(X) \
    X(MP_QSTR_input_size, mp_obj_new_int_from_uint(self->net.input_size)) \
    X(MP_QSTR_classes, MP_OBJ_NEW_SMALL_INT(self->net.classes)) \
    X(MP_QSTR_arena_size, mp_obj_new_int_from_uint(self->net.arena_size)) \
    MORE_ATTRIBUTES(X)

static void model_attr(mp_obj_t self_in, qstr name, mp_obj_t *dest) {
    const ebnn_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        return; // attributes are read-only
    }
#define ATTRIBUTE(key, value) \
    if (name == key) { \
        dest[0] = value; \
        return; \
    }
    MODEL_ATTRIBUTES(ATTRIBUTE)
#undef ATTRIBUTE
    dest[1] = MP_OBJ_SENTINEL; // go on in the dict of methods
}

// --- what there is, for firmware and for native modules --------------------------------------------------------------

#define MODEL_METHODS(X) \
    X(MP_QSTR_infer, model_infer_obj) \
    X(MP_QSTR_scores, model_scores_obj) \
    MORE_METHODS(X)

#define MODULE_FUNCTIONS(X) \
    X(MP_QSTR_load, module_load_obj) \
    X(MP_QSTR_infer, module_infer_obj) \
    MORE_FUNCTIONS(X)

#ifdef MICROPY_ENABLE_DYNRUNTIME

#define MOST_SLOTS 4

static mp_obj_type_t *new_type(qstr name) {
    size_t size = sizeof(mp_obj_type_t) + MOST_SLOTS * sizeof(void *);
    mp_obj_type_t *type = allocate(size);
    memset(type, 0, size);
    type->base.type = &mp_type_type;
    type->name = name;
    return type;
}

#ifndef EBNN_SMALL
static mp_obj_t new_input_type(void) {
    mp_obj_type_t *type = new_type(MP_QSTR_Input);
    MP_OBJ_TYPE_SET_SLOT(type, make_new, input_make_new, 0);
    MP_OBJ_TYPE_SET_SLOT(type, call, input_call, 1);
    return MP_OBJ_FROM_PTR(type);
}
#endif

// There are no writable variables: where their address comes from differs between architectures, and one linker gets it
// wrong. The class lies on the heap.
static mp_obj_t new_model_type(void) {
    mp_obj_t methods = mp_obj_new_dict(0);
#define METHOD(name, function) mp_obj_dict_store(methods, MP_OBJ_NEW_QSTR(name), MP_OBJ_FROM_PTR(&function));
    MODEL_METHODS(METHOD)
#undef METHOD
    mp_obj_type_t *type = new_type(MP_QSTR_Model);
    MP_OBJ_TYPE_SET_SLOT(type, make_new, model_make_new, 0);
    MP_OBJ_TYPE_SET_SLOT(type, attr, model_attr, 1);
    MP_OBJ_TYPE_SET_SLOT(type, locals_dict, MP_OBJ_TO_PTR(methods), 2);
#ifndef EBNN_SMALL
    MP_OBJ_TYPE_SET_SLOT(type, print, model_print, 3);
#endif
    return MP_OBJ_FROM_PTR(type);
}

static mp_obj_t model_of(mp_obj_t blob) {
    return mp_call_function_n_kw(own_attribute(MP_QSTR_Model), 1, 0, &blob);
}

__attribute__((externally_visible)) mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw,
    mp_obj_t *args) {
    (void)n_args, (void)n_kw, (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    if (take_first(&self->context->module)) {
        MP_DYNRUNTIME_INIT_EXIT
    }
    mp_obj_t format[2] = { MP_OBJ_NEW_SMALL_INT(EBNN_FORMAT_MAJOR), MP_OBJ_NEW_SMALL_INT(EBNN_FORMAT_MINOR) };
    mp_store_global(MP_QSTR___version__, mp_obj_new_str(EBNN_VERSION, sizeof(EBNN_VERSION) - 1));
    mp_store_global(MP_QSTR_FORMAT, mp_obj_new_tuple(2, format));
    mp_store_global(MP_QSTR_Model, new_model_type());
#ifndef EBNN_SMALL
    mp_store_global(MP_QSTR_Input, new_input_type());
#endif
#define CONSTANT(name, value) mp_store_global(name, MP_OBJ_NEW_SMALL_INT(value));
    MODULE_CONSTANTS(CONSTANT)
#undef CONSTANT
#define FUNCTION(name, function) mp_store_global(name, MP_OBJ_FROM_PTR(&function));
    MODULE_FUNCTIONS(FUNCTION)
#undef FUNCTION
    MP_DYNRUNTIME_INIT_EXIT
}

#else

#define ROW(name, object) { MP_ROM_QSTR(name), MP_ROM_PTR(&object) },
#define CONSTANT(name, value) { MP_ROM_QSTR(name), MP_ROM_INT(value) },

// What help() shows beside the names; in a native module, whose strings lie in RAM, there is none.
static const MP_DEFINE_STR_OBJ(module_doc,
    "ebnn.infer(buf) -> class, by the model ebnn_model\n"
    "    m = ebnn.Model('a.ebnn'); m.infer(buf), m.scores(buf)\n"
    "    All of it: ebnn.pyi, README.md; dir(m)");
static const MP_DEFINE_STR_OBJ(model_doc, "m.infer(buf), m.scores(buf[, out]), m.feed(rows[, out]); dir(m)");

static const mp_rom_map_elem_t model_methods_table[] = { ROW(MP_QSTR___doc__, model_doc) MODEL_METHODS(ROW) };
static MP_DEFINE_CONST_DICT(model_methods, model_methods_table);

// clang-format off
MP_DEFINE_CONST_OBJ_TYPE(
    ebnn_type_model,
    MP_QSTR_Model,
    MP_TYPE_FLAG_NONE,
    make_new, model_make_new,
    print, model_print,
    attr, model_attr,
    locals_dict, &model_methods
    );
// clang-format on

// clang-format off
MP_DEFINE_CONST_OBJ_TYPE(
    ebnn_type_input,
    MP_QSTR_Input,
    MP_TYPE_FLAG_NONE,
    make_new, input_make_new,
    call, input_call
    );
// clang-format on

static mp_obj_t model_of(mp_obj_t blob) {
    return new_model(&ebnn_type_model, blob, MP_OBJ_NULL);
}

static const mp_rom_obj_tuple_t format_tuple = {
    { &mp_type_tuple },
    2,
    { MP_ROM_INT(EBNN_FORMAT_MAJOR), MP_ROM_INT(EBNN_FORMAT_MINOR) },
};
static const MP_DEFINE_STR_OBJ(version_str, EBNN_VERSION);

static const mp_rom_map_elem_t module_globals_table[] = { { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_ebnn) },
    ROW(MP_QSTR___doc__, module_doc) { MP_ROM_QSTR(MP_QSTR___version__), MP_ROM_PTR(&version_str) },
    { MP_ROM_QSTR(MP_QSTR_FORMAT), MP_ROM_PTR(&format_tuple) },
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&ebnn_type_model) },
    { MP_ROM_QSTR(MP_QSTR_Input), MP_ROM_PTR(&ebnn_type_input) }, MODULE_CONSTANTS(CONSTANT) MODULE_FUNCTIONS(ROW) };
#undef ROW
#undef CONSTANT
static MP_DEFINE_CONST_DICT(module_globals, module_globals_table);

const mp_obj_module_t ebnn_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};

MP_REGISTER_MODULE(MP_QSTR_ebnn, ebnn_module);

#endif
