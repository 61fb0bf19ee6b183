// QEMU's RISC-V machine: a 16550 UART behind the interrupt controller (PLIC), and the timer of the CLINT.

#include "machine.h"

#define BYTE(address) (*(volatile uint8_t *)(address))
#define WORD(address) (*(volatile uint32_t *)(address))

#define UART_DATA BYTE(0x10000000)
#define UART_INTERRUPTS BYTE(0x10000001)
#define UART_FIFO BYTE(0x10000002)
#define UART_STATE BYTE(0x10000005)
#define UART_FIFO_ON (1)
#define UART_RX_INTERRUPT (1)
#define UART_STATE_RX (1 << 0)
#define UART_STATE_TX (1 << 5)

#define UART_IRQ (10)
#define PLIC_PRIORITY ((volatile uint32_t *)0x0c000000)
#define PLIC_ENABLE WORD(0x0c002000)
#define PLIC_CLAIM WORD(0x0c200004)

#define MTIME_LOW WORD(0x0200bff8)
#define MTIME_HIGH WORD(0x0200bffc)
#define MTIME_PER_US (10)

#define MIE_EXTERNAL (1 << 11)
#define MTVEC_VECTORED (1)

__attribute__((interrupt("machine"), used)) static void external_isr(void) {
    uint32_t irq = PLIC_CLAIM;
    if (irq == UART_IRQ) {
        console_isr();
    }
    PLIC_CLAIM = irq;
}

// The port's table leads each interrupt to a function that does nothing and cannot be replaced.
__attribute__((naked, aligned(64))) static void trap_table(void) {
    __asm volatile(".option push\n"
                   ".option norvc\n"
                   "j mtvec_exception\n"
                   ".rept 10\n"
                   "j mtvec_nop\n"
                   ".endr\n"
                   "j external_isr\n"
                   ".option pop\n");
}

void machine_init(void) {
    PLIC_PRIORITY[UART_IRQ] = 1;
    PLIC_ENABLE = 1 << UART_IRQ;
    UART_FIFO = UART_FIFO_ON;
    machine_listen(true);
    __asm volatile("csrw mtvec, %0" : : "r"((uint32_t)&trap_table + MTVEC_VECTORED));
    __asm volatile("csrs mie, %0" : : "r"(MIE_EXTERNAL));
}

uint32_t machine_us(void) {
    uint32_t low, high;
    do {
        high = MTIME_HIGH;
        low = MTIME_LOW;
    } while (high != MTIME_HIGH);
    return (((uint64_t)high << 32) | low) / MTIME_PER_US;
}

int machine_take(void) {
    return UART_STATE & UART_STATE_RX ? UART_DATA : -1;
}

void machine_send(uint8_t byte) {
    while (!(UART_STATE & UART_STATE_TX)) {
    }
    UART_DATA = byte;
}

void machine_listen(bool on) {
    UART_INTERRUPTS = on ? UART_RX_INTERRUPT : 0;
}
