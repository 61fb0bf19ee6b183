// Start-up, faults and semihosting for Cortex-M and RV32 under QEMU.
#include "bare.h"

enum {
    SYS_WRITE0 = 0x04,
    SYS_EXIT_EXTENDED = 0x20,
    STOPPED_BY_APPLICATION = 0x20026,
};

extern uint32_t bare_bss[], bare_bss_end[];

#if defined(__riscv)

__asm__(".option push\n"
        ".option arch, +zicsr\n"
        ".section .vectors, \"ax\"\n"
        ".globl _start\n"
        "_start: la sp, bare_stack_top\n"
        "    la t0, bare_fault\n"
        "    csrw mtvec, t0\n"
        "    j bare_start\n"
        ".balign 4\n"
        "bare_fault: csrr a0, mepc\n"
        "    la sp, bare_stack_top\n"
        "    j bare_fault_at\n"
        ".option pop\n"
        ".text\n");

BARE_HARNESS static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    // The three instructions are the call; they must be uncompressed and lie in one page.
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     ".balign 16\n"
                     "slli zero, zero, 0x1f\n"
                     "ebreak\n"
                     "srai zero, zero, 7\n"
                     ".option pop\n"
        : "+r"(a0)
        : "r"(a1)
        : "memory");
    return a0;
}

#else

__asm__(".section .harness, \"ax\"\n"
        ".thumb\n"
        ".syntax unified\n"
        ".globl bare_fault\n"
        ".type bare_fault, %function\n"
        "bare_fault: ldr r0, [sp, #24]\n" // the address of the instruction that failed
        "    b bare_fault_at\n"
        ".text\n");

void bare_fault(void);
void _start(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    bare_stack_top,
    (const void *)_start,
    (const void *)bare_fault,
    (const void *)bare_fault,
    (const void *)bare_fault,
    (const void *)bare_fault,
    (const void *)bare_fault,
};

BARE_HARNESS static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

#endif

// noipa: equal bodies would be made one function.
BARE_HARNESS __attribute__((noipa)) void bare_begin(void) {
}

BARE_HARNESS __attribute__((noipa)) void bare_end(void) {
}

BARE_HARNESS void bare_print(const char *text) {
    semihost(SYS_WRITE0, text);
}

BARE_HARNESS void bare_print_word(const char *name, uint32_t value) {
    char text[10];
    for (uint32_t i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    }
    text[8] = '\n';
    text[9] = 0;
    bare_print(name);
    bare_print(" ");
    bare_print(text);
}

BARE_HARNESS void bare_exit(uint32_t status) {
    const uint32_t reason[2] = { STOPPED_BY_APPLICATION, status };
    for (;;) {
        semihost(SYS_EXIT_EXTENDED, reason);
    }
}

BARE_HARNESS __attribute__((used)) void bare_fault_at(uint32_t address) {
    bare_print_word("fault", address);
    bare_exit(1);
}

BARE_HARNESS static void start(void) {
    for (uint32_t *p = bare_bss; p < bare_bss_end; p++) {
        *p = 0;
    }
    bare_exit((uint32_t)main());
}

#if defined(__riscv)
BARE_HARNESS __attribute__((used)) void bare_start(void) {
    start();
}
#else
BARE_HARNESS void _start(void) {
    start();
}
#endif
