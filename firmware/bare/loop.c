// Loops whose number of instructions is known: 2 a turn, 1 to load where the constant does not fit, 1 to return.
#include "bare.h"

#if defined(__riscv)
#define LOOP(turns) "li a0, " #turns "\n1: addi a0, a0, -1\nbnez a0, 1b\nret\n"
#else
#define LOOP(turns) ".syntax unified\nmovs r0, #" #turns "\n1: subs r0, #1\nbne 1b\nbx lr\n"
#endif

__attribute__((naked, noinline)) static void loop_10(void) {
    __asm__ volatile(LOOP(10));
}

__attribute__((naked, noinline)) static void loop_200(void) {
    __asm__ volatile(LOOP(200));
}

BARE_HARNESS int main(void) {
    bare_begin();
    bare_end();
    bare_begin();
    loop_10();
    bare_end();
    bare_begin();
    for (uint32_t i = 0; i < 1000; i++) { // this loop is the bench's own and not counted
        loop_200();
    }
    bare_end();
    return 0;
}
