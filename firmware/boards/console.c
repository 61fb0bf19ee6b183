// An interrupt-driven console for the emulated boards, as real ports have one.
//
// The port polls its UART only while it waits for input, so a running program never sees Ctrl-C and an idle
// prompt keeps a whole core of the host busy. Here each byte raises an interrupt, Ctrl-C is noticed at once,
// and the core sleeps until there is something to read. When the ring is full the byte stays in the UART,
// which makes QEMU hold back the sender: nothing is lost.

#include <stdint.h>

#include "py/runtime.h"
#include "shared/runtime/interrupt_char.h"
#include "machine.h"
#include "uart.h"

#if defined(__riscv)
#define INTERRUPTS_OFF "csrci mstatus, 8"
#define INTERRUPTS_ON "csrsi mstatus, 8"
#else
#define INTERRUPTS_OFF "cpsid i"
#define INTERRUPTS_ON "cpsie i"
#endif

// A power of two; head and tail run freely and wrap with their type.
#define RING_SIZE (128)

static volatile uint8_t ring[RING_SIZE];
static volatile uint32_t ring_head;
static volatile uint32_t ring_tail;

void console_isr(void) {
    while (ring_head - ring_tail < RING_SIZE) {
        int c = machine_take();
        if (c < 0) {
            return;
        }
        if (c == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
        } else {
            ring[ring_head % RING_SIZE] = c;
            ring_head += 1;
        }
    }
    machine_listen(false);
}

void uart_init(void) {
    machine_init();
}

void uart_tx_strn(const char *text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        machine_send(text[i]);
    }
}

int uart_rx_chr(void) {
    if (ring_head == ring_tail) {
        // Interrupts are off between the test and the sleep, and a pending one still ends the sleep.
        __asm volatile(INTERRUPTS_OFF);
        if (ring_head == ring_tail) {
            __asm volatile("wfi");
        }
        __asm volatile(INTERRUPTS_ON);
        mp_handle_pending(true);
        return UART_RX_NO_CHAR;
    }
    int c = ring[ring_tail % RING_SIZE];
    ring_tail += 1;
    machine_listen(true);
    return c;
}
