// The clock behind `time`: the machine's counter, carried on in 64 bits.

#include <stdint.h>

#include "py/mphal.h"
#include "py/runtime.h"

#include "machine.h"

// The counter wraps after 71 minutes and is read more often than that by whoever waits.
static uint64_t clock_us(void) {
    static uint64_t total;
    static uint32_t last;
    uint32_t now = machine_us();
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
