// What a Cortex-M needs before main: vectors, and variables in their places. Texts and the end of the program go by
// semihosting to QEMU or a debugger; on a board of your own, `print` is the function to replace, by a UART's.
#include <stdint.h>

typedef struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors_t;

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, STOPPED_BY_APPLICATION = 0x20026 };

extern uint32_t data_source[], data_start[], data_end[], bss_start[], bss_end[], stack_top[]; // link.ld

int main(void);
void print(const char *text);
void reset(void);

static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void print(const char *text) {
    semihost(SYS_WRITE0, text);
}

static void leave(uint32_t status) {
    const uint32_t reason[2] = { STOPPED_BY_APPLICATION, status };
    for (;;) {
        semihost(SYS_EXIT_EXTENDED, reason);
    }
}

static void fault(void) {
    print("fault\n");
    leave(2);
}

void reset(void) {
    for (uint32_t *from = data_source, *to = data_start; to != data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to != bss_end;) {
        *to++ = 0;
    }
    leave((uint32_t)main());
}

// Reset, NMI, and the faults.
__attribute__((section(".vectors"), used)) static const vectors_t vectors = { stack_top,
    { reset, fault, fault, fault, fault, fault } };
