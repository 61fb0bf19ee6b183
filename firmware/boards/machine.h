// What a machine gives the console and the clock. One file a family implements it (EBNN_MACHINE in the board's
// mpconfigboard.mk); the port's uart.c stays empty, since no board here defines one of its QEMU_SOC names.

#include <stdbool.h>
#include <stdint.h>

// Start the counter, the UART and what else must run before main().
void machine_init(void);

// The counter behind `time`, in microseconds; boards/*.toml reads the same one as [count].
uint32_t machine_us(void);

// A byte that has come, or -1. After that the next one interrupts again.
int machine_take(void);

void machine_send(uint8_t byte);

// Whether a byte that comes calls console_isr().
void machine_listen(bool on);

// In console.c.
void console_isr(void);
