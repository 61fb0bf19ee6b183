// The nRF51822 of the BBC micro:bit: its UART and TIMER0.

#include "cortex_m.h"
#include "machine.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART_IRQ (2)
#define UART_STARTRX REGISTER(0x40002000)
#define UART_STARTTX REGISTER(0x40002008)
#define UART_RXDRDY REGISTER(0x40002108)
#define UART_INTENSET REGISTER(0x40002304)
#define UART_ENABLE REGISTER(0x40002500)
#define UART_RXD REGISTER(0x40002518)
#define UART_TXD REGISTER(0x4000251c)
#define UART_INT_RXDRDY (1 << 2)
#define UART_ENABLE_ON (4)

#define TIMER_START REGISTER(0x40008000)
#define TIMER_CAPTURE0 REGISTER(0x40008040)
#define TIMER_BITMODE REGISTER(0x40008508)
#define TIMER_PRESCALER REGISTER(0x40008510)
#define TIMER_CC0 REGISTER(0x40008540)
#define TIMER_BITMODE_32 (3)

ISR_TABLE(UART_IRQ + 1) = {
    [UART_IRQ] = (uint32_t)&console_isr,
};

void machine_init(void) {
    TIMER_BITMODE = TIMER_BITMODE_32;
    TIMER_PRESCALER = 4;
    TIMER_START = 1;
    UART_ENABLE = UART_ENABLE_ON;
    UART_STARTRX = 1;
    UART_STARTTX = 1;
    UART_INTENSET = UART_INT_RXDRDY;
    machine_listen(true);
    wake_emulator();
}

uint32_t machine_us(void) {
    TIMER_CAPTURE0 = 1;
    return TIMER_CC0;
}

int machine_take(void) {
    if (!UART_RXDRDY) {
        return -1;
    }
    UART_RXDRDY = 0;
    return UART_RXD;
}

void machine_send(uint8_t byte) {
    UART_TXD = byte;
}

void machine_listen(bool on) {
    nvic_set(UART_IRQ, on);
}
