// What MicroPython offers under other names to native modules than to firmware, or not at all.
#ifndef EBNN_MP_H
#define EBNN_MP_H

#include <string.h>

#ifdef MICROPY_ENABLE_DYNRUNTIME
#include "py/dynruntime.h"
#else
#include "py/binary.h"
#include "py/builtin.h"
#include "py/mphal.h"
#include "py/objstr.h"
#include "py/objtuple.h"
#include "py/objtype.h"
#include "py/runtime.h"
#endif

#ifndef MP_NORETURN // MicroPython before 1.26
#define MP_NORETURN NORETURN
#endif

#ifdef MICROPY_ENABLE_DYNRUNTIME

static mp_obj_t import_module(qstr name) {
    return mp_import_name(name, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
}

// The runtime's table has few types. They are looked up in `builtins`, not among the names that the running script sees:
// there a person may have given the name to anything.
static const mp_obj_type_t *builtin_type(qstr name) {
    return MP_OBJ_TO_PTR(mp_load_attr(import_module(MP_QSTR_builtins), name));
}
#define IMPORT_ERROR builtin_type(MP_QSTR_ImportError)
#define RUNTIME_ERROR builtin_type(MP_QSTR_RuntimeError)
#define TYPE_ERROR builtin_type(MP_QSTR_TypeError)
#define VALUE_ERROR builtin_type(MP_QSTR_ValueError)

#ifdef EBNN_SMALL // texts lie in RAM here
#define RAISE(type, text) nlr_raise(MP_OBJ_FROM_PTR(type))
#define RAISE_FORMAT(type, ...) nlr_raise(MP_OBJ_FROM_PTR(type))
#else
typedef struct {
    size_t length;
    char text[120];
} text_t;

static void add_text(void *data, const char *piece, size_t length) {
    text_t *text = data;
    for (; length != 0 && text->length < sizeof(text->text); length--) {
        text->text[text->length++] = *piece++;
    }
}

// What was looked up as a type is called as an object: it may be anything.
static MP_NORETURN void raise_format(const mp_obj_type_t *type, const char *format, ...) {
    text_t text;
    text.length = 0;
    mp_print_t print = { &text, add_text };
    va_list values;
    va_start(values, format);
    mp_vprintf(&print, format, values);
    va_end(values);
    mp_raise_type_arg(type, mp_obj_new_str(text.text, text.length));
}
#define RAISE_FORMAT(type, ...) raise_format(type, __VA_ARGS__)
#define RAISE(type, text) raise_format(type, "%s", text)
#endif

static void *allocate(size_t size) {
    void *p = mp_fun_table.realloc_(NULL, size, false);
    if (p == NULL && size != 0) {
        nlr_raise(MP_OBJ_FROM_PTR(builtin_type(MP_QSTR_MemoryError))); // there is no memory for a text
    }
    return p;
}

static mp_obj_t loaded_modules(void) {
    return mp_load_attr(import_module(MP_QSTR_sys), MP_QSTR_modules);
}

// What sys.modules has under a name, or None.
static mp_obj_t find_loaded(mp_obj_t name) {
    mp_obj_t call[3] = { MP_OBJ_NULL, MP_OBJ_NULL, name };
    mp_load_method(loaded_modules(), MP_QSTR_get, call); // a bound method would be a new object
    return mp_fun_table.call_method_n_kw(1, 0, call);
}

// The module itself lies there under another name than its own, which anybody may delete to import it again.
static mp_obj_t own_attribute(qstr name) {
    return mp_load_attr(find_loaded(MP_OBJ_NEW_QSTR(MP_QSTR___ebnn__)), name);
}

// A module that is imported again takes what the first one has, as a module in firmware does: there is one class.
static bool take_first(const mp_obj_module_t *module) {
    mp_obj_t key = MP_OBJ_NEW_QSTR(MP_QSTR___ebnn__);
#ifndef EBNN_SMALL
    mp_obj_t first = find_loaded(key), call[3];
    mp_load_method_maybe(first, MP_QSTR__pending, call); // comes last: an import that failed did not get there
    if (mp_obj_get_type(first) == module->base.type && call[0] != MP_OBJ_NULL) {
        mp_load_method(MP_OBJ_FROM_PTR(module->globals), MP_QSTR_update, call);
        call[2] = MP_OBJ_FROM_PTR(((const mp_obj_module_t *)MP_OBJ_TO_PTR(first))->globals);
        mp_fun_table.call_method_n_kw(1, 0, call);
        return true;
    }
#endif
    mp_obj_dict_store(loaded_modules(), key, MP_OBJ_FROM_PTR(module));
    return false;
}

// A native module cannot catch exceptions, nor run what is pending; the functions of natmod/ebnn_guard.py do it.
static mp_obj_t find_guard(void) {
    return own_attribute(MP_QSTR__guard);
}

// Call a function that gives a small integer. What else comes back, in *error, is an exception; that it is one is not
// looked up, because nothing may raise here.
static mp_obj_t run_guarded(mp_obj_t guard, mp_obj_t function, mp_obj_t arg, mp_obj_t *error) {
    mp_obj_t pair[2] = { function, arg };
    mp_obj_t result = mp_call_function_n_kw(guard, 2, 0, pair);
    if (!mp_obj_is_small_int(result)) {
        *error = result;
    }
    return result;
}

#ifndef EBNN_SMALL
static bool is_error(mp_obj_t obj, const mp_obj_type_t *type) {
    return mp_binary_op(MP_BINARY_OP_EXCEPTION_MATCH, obj, MP_OBJ_FROM_PTR(type)) == mp_const_true;
}

// Call a function with an argument. An exception comes back in *error.
static mp_obj_t call_guarded(mp_obj_t guard, mp_obj_t function, mp_obj_t arg, mp_obj_t *error) {
    mp_obj_t pair[2] = { function, arg };
    mp_obj_t result = mp_call_function_n_kw(guard, 2, 0, pair);
    if (is_error(result, builtin_type(MP_QSTR_BaseException))) {
        *error = result;
    }
    return result;
}

static mp_obj_t import_guarded(qstr name, mp_obj_t *error) {
    mp_obj_t function = mp_load_attr(import_module(MP_QSTR_builtins), MP_QSTR___import__);
    return call_guarded(find_guard(), function, MP_OBJ_NEW_QSTR(name), error);
}
#endif

static mp_obj_t find_pending(void) {
    return own_attribute(MP_QSTR__pending);
}

// Whether something is pending cannot be seen from here.
static bool run_pending(mp_obj_t pending) {
    mp_call_function_n_kw(pending, 0, 0, NULL);
    return true;
}

// Set a flag; whether it was not set. Not atomic: external RAM, in which a heap may lie, refuses exclusive accesses on
// some chips. So without a lock around the interpreter (RP2040, RP2350) a model belongs to one thread.
static bool take_flag(bool *flag) {
    bool was_set = *flag;
    *flag = true;
    return !was_set;
}

#else

#define IMPORT_ERROR (&mp_type_ImportError)
#define RUNTIME_ERROR (&mp_type_RuntimeError)
#define TYPE_ERROR (&mp_type_TypeError)
#define VALUE_ERROR (&mp_type_ValueError)

#define allocate(size) m_malloc(size)

#define RAISE(type, text) mp_raise_msg(type, MP_ERROR_TEXT(text))
#define RAISE_FORMAT(type, text, ...) mp_raise_msg_varg(type, MP_ERROR_TEXT(text), __VA_ARGS__)

static mp_obj_t find_guard(void) {
    return mp_const_none;
}

static bool is_error(mp_obj_t obj, const mp_obj_type_t *type) {
    return mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(obj)), MP_OBJ_FROM_PTR(type));
}

static mp_obj_t find_pending(void) {
    return mp_const_none;
}

// Call a function with an argument. An exception comes back in *error.
static mp_obj_t call_guarded(mp_obj_t guard, mp_obj_t function, mp_obj_t arg, mp_obj_t *error) {
    (void)guard;
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) {
        *error = MP_OBJ_FROM_PTR(nlr.ret_val);
        return mp_const_none;
    }
    mp_obj_t result = mp_call_function_1(function, arg);
    nlr_pop();
    return result;
}

#define run_guarded call_guarded

static mp_obj_t import_guarded(qstr name, mp_obj_t *error) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) {
        *error = MP_OBJ_FROM_PTR(nlr.ret_val);
        return mp_const_none;
    }
    mp_obj_t module = mp_import_name(name, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    nlr_pop();
    return module;
}

static mp_obj_t loaded_modules(void) {
    return MP_OBJ_FROM_PTR(&MP_STATE_VM(mp_loaded_modules_dict));
}

// What sys.modules has under a name, or None.
static mp_obj_t find_loaded(mp_obj_t name) {
    mp_map_elem_t *found = mp_map_lookup(mp_obj_dict_get_map(loaded_modules()), name, MP_MAP_LOOKUP);
    return found == NULL ? mp_const_none : found->value;
}

// Set a flag; whether it was not set. Threads may run at the same time: not every port has a lock around the interpreter.
static bool take_flag(bool *flag) {
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    bool was_set = *flag;
    *flag = true;
    MICROPY_END_ATOMIC_SECTION(state);
    return !was_set;
}

// Ctrl-C, which raises, and scheduled callbacks; whether there were any.
static bool run_pending(mp_obj_t pending) {
    (void)pending;
    bool is_pending = MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL;
#if MICROPY_ENABLE_SCHEDULER
    is_pending = is_pending || MP_STATE_VM(sched_state) == MP_SCHED_PENDING;
#endif
#if MICROPY_ENABLE_VM_ABORT
    is_pending = is_pending || MP_STATE_VM(vm_abort);
#endif
    if (is_pending) {
        mp_handle_pending(true);
    }
    return is_pending;
}

#endif

#endif
