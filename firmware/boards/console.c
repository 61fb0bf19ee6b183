// An interrupt-driven console for the emulated boards, as real ports have one.
//
// The port polls its UART only while it waits for input, so a running program never sees Ctrl-C and an idle
// prompt keeps a whole core of the host busy. Here each byte raises an interrupt, Ctrl-C is noticed at once,
// and the core sleeps until there is something to read. When the ring is full the byte stays in the UART,
// which makes QEMU hold back the sender: nothing is lost.

#include <stdint.h>

#include "py/runtime.h"
#include "shared/runtime/interrupt_char.h"
#include "clock.h"
#include "uart.h"

#if defined(QEMU_SOC_MPS2)
#define UART_IRQ (0)
#define UART_CTRL (*(volatile uint32_t *)0x40004008)
#define UART_INTSTATUS (*(volatile uint32_t *)0x4000400c)
#define UART_CTRL_RX_INT (1 << 3)
#define UART_INT_RX (1 << 1)
#elif defined(QEMU_SOC_NRF51)
#define UART_IRQ (2)
#define UART_INTENSET (*(volatile uint32_t *)0x40002304)
#define UART_INT_RXDRDY (1 << 2)
#else
#error "console.c does not know this board's UART"
#endif

#define SYSTICK_CTRL (*(volatile uint32_t *)0xe000e010)
#define SYSTICK_LOAD (*(volatile uint32_t *)0xe000e014)
#define SYSTICK_CTRL_RUN (5)
#define SYSTICK_CTRL_WRAPPED (1 << 16)

#define NVIC_ISER (*(volatile uint32_t *)0xe000e100)
#define NVIC_ICER (*(volatile uint32_t *)0xe000e180)

// A power of two; head and tail run freely and wrap with their type.
#define RING_SIZE (128)

static volatile uint8_t ring[RING_SIZE];
static volatile uint32_t ring_head;
static volatile uint32_t ring_tail;

void __real_uart_init(void);
int __real_uart_rx_chr(void);

void console_isr(void) {
    while (ring_head - ring_tail < RING_SIZE) {
        #if defined(QEMU_SOC_MPS2)
        // Before the read: a byte that comes after it must raise the interrupt again.
        UART_INTSTATUS = UART_INT_RX;
        #endif
        int c = __real_uart_rx_chr();
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
    NVIC_ICER = 1 << UART_IRQ;
}

// Follows the port's own table of system exceptions (see sections.ld).
const uint32_t isr_vector_irq[UART_IRQ + 1] __attribute__((used, section(".isr_vector_irq"))) = {
    [UART_IRQ] = (uint32_t)&console_isr,
};

// QEMU asks a UART whether it takes bytes only when something happens in its main loop. Bytes that were sent
// before the UART was on would wait there for up to a second, so make a timer happen.
static void wake_emulator(void) {
    SYSTICK_LOAD = 1000;
    SYSTICK_CTRL = SYSTICK_CTRL_RUN;
    while (!(SYSTICK_CTRL & SYSTICK_CTRL_WRAPPED)) {
    }
    SYSTICK_CTRL = 0;
}

void __wrap_uart_init(void) {
    clock_init();
    __real_uart_init();
    #if defined(QEMU_SOC_MPS2)
    UART_CTRL |= UART_CTRL_RX_INT;
    #else
    UART_INTENSET = UART_INT_RXDRDY;
    #endif
    NVIC_ISER = 1 << UART_IRQ;
    wake_emulator();
}

int __wrap_uart_rx_chr(void) {
    if (ring_head == ring_tail) {
        // Interrupts are off between the test and the sleep, and a pending one still ends the sleep.
        __asm volatile("cpsid i");
        if (ring_head == ring_tail) {
            __asm volatile("wfi");
        }
        __asm volatile("cpsie i");
        mp_handle_pending(true);
        return UART_RX_NO_CHAR;
    }
    int c = ring[ring_tail % RING_SIZE];
    ring_tail += 1;
    NVIC_ISER = 1 << UART_IRQ;
    return c;
}
