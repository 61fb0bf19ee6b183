// Arm's MPS2 boards: the UART and the counter of the FPGA. mps2.mk and the boards say where they are.

#include "cortex_m.h"
#include "machine.h"

typedef struct {
    volatile uint32_t data, state, control, interrupts, divider;
} uart_t;

typedef struct {
    volatile uint32_t reserved[6], counter, prescale;
} fpgaio_t;

#define UART ((uart_t *)MPS2_UART)
#define FPGAIO ((fpgaio_t *)MPS2_FPGAIO)

#define STATE_TX_FULL (1 << 0)
#define STATE_RX_FULL (1 << 1)
#define CONTROL_TX_RX (3)
#define CONTROL_RX_INTERRUPT (1 << 3)
#define INTERRUPT_RX (1 << 1)

// The lines for receiving and sending lie beside each other, in either order; only receiving interrupts.
ISR_TABLE(MPS2_UART_IRQ + 2) = {
    [MPS2_UART_IRQ] = (uint32_t)&console_isr,
    [MPS2_UART_IRQ + 1] = (uint32_t)&console_isr,
};

void machine_init(void) {
    fpu_enable();
    FPGAIO->prescale = MPS2_HZ / 1000000 - 1;
    UART->divider = 16;
    UART->control = CONTROL_TX_RX | CONTROL_RX_INTERRUPT;
    machine_listen(true);
    wake_emulator();
}

uint32_t machine_us(void) {
    return FPGAIO->counter;
}

int machine_take(void) {
    // Before the read: a byte that comes after it must raise the interrupt again.
    UART->interrupts = INTERRUPT_RX;
    return UART->state & STATE_RX_FULL ? (int)(UART->data & 0xff) : -1;
}

void machine_send(uint8_t byte) {
    while (UART->state & STATE_TX_FULL) {
    }
    UART->data = byte;
}

void machine_listen(bool on) {
    nvic_set(MPS2_UART_IRQ, on);
    nvic_set(MPS2_UART_IRQ + 1, on);
}
