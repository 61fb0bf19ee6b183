// The clock behind `time`: a counter of the machine at 1 MHz. boards/*.toml reads the same one as [count].

#include <stdint.h>

#include "py/mphal.h"
#include "py/runtime.h"

#include "clock.h"

#if defined(QEMU_SOC_MPS2)

#define FPGAIO_COUNTER (*(volatile uint32_t *)0x40028018)
#define FPGAIO_PRESCALE (*(volatile uint32_t *)0x4002801c)

void clock_init(void) {
    FPGAIO_PRESCALE = 24;
}

static uint32_t clock_read(void) {
    return FPGAIO_COUNTER;
}

#elif defined(QEMU_SOC_NRF51)

#define TIMER0_START (*(volatile uint32_t *)0x40008000)
#define TIMER0_CAPTURE0 (*(volatile uint32_t *)0x40008040)
#define TIMER0_BITMODE (*(volatile uint32_t *)0x40008508)
#define TIMER0_PRESCALER (*(volatile uint32_t *)0x40008510)
#define TIMER0_CC0 (*(volatile uint32_t *)0x40008540)
#define TIMER_BITMODE_32 (3)

void clock_init(void) {
    TIMER0_BITMODE = TIMER_BITMODE_32;
    TIMER0_PRESCALER = 4;
    TIMER0_START = 1;
}

static uint32_t clock_read(void) {
    TIMER0_CAPTURE0 = 1;
    return TIMER0_CC0;
}

#else
#error "clock.c knows no counter on this board"
#endif

// The counter wraps after 71 minutes and is read more often than that by whoever waits.
static uint64_t clock_us(void) {
    static uint64_t total;
    static uint32_t last;
    uint32_t now = clock_read();
    total += (uint32_t)(now - last);
    last = now;
    return total;
}

mp_uint_t mp_hal_ticks_us(void) {
    return clock_us();
}

mp_uint_t mp_hal_ticks_ms(void) {
    return clock_us() / 1000;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return clock_us();
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = clock_us() + us;
    while (clock_us() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = clock_us() + (uint64_t)ms * 1000;
    while (clock_us() < end) {
        mp_handle_pending(true);
    }
}
