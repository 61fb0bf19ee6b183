// The port asks for a stack of 10 KB whatever the machine has: give it what is left above .bss, if that is
// less, so that deep recursion ends in RuntimeError and not in the heap.

#include <stdint.h>

#include "py/stackctrl.h"

// For what runs below the last check: one interrupt, the C functions that do not check.
#define STACK_MARGIN (1024)

extern uint8_t _ebss, _estack;

void __real_mp_stack_set_limit(mp_uint_t limit);

void __wrap_mp_stack_set_limit(mp_uint_t limit) {
    mp_uint_t room = &_estack - &_ebss - STACK_MARGIN;
    __real_mp_stack_set_limit(limit < room ? limit : room);
}
