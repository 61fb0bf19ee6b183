// What every Cortex-M has: interrupts, the SysTick timer, where there is one a floating-point unit.

#include <stdbool.h>
#include <stdint.h>

#define SYSTICK_CTRL (*(volatile uint32_t *)0xe000e010)
#define SYSTICK_LOAD (*(volatile uint32_t *)0xe000e014)
#define SYSTICK_CTRL_RUN (5)
#define SYSTICK_CTRL_WRAPPED (1 << 16)

#define NVIC_ISER ((volatile uint32_t *)0xe000e100)
#define NVIC_ICER ((volatile uint32_t *)0xe000e180)

#define CPACR (*(volatile uint32_t *)0xe000ed88)
#define CPACR_FPU (0xf << 20)

// Entries for the section .isr_vector_irq, which follows the port's table of system exceptions (sections.ld).
#define ISR_TABLE(count) const uint32_t isr_vector_irq[count] __attribute__((used, section(".isr_vector_irq")))

static inline void fpu_enable(void) {
    #if defined(__ARM_FP)
    CPACR |= CPACR_FPU;
    __asm volatile("dsb\nisb" ::: "memory");
    #endif
}

static inline void nvic_set(int irq, bool on) {
    (on ? NVIC_ISER : NVIC_ICER)[irq / 32] = 1u << (irq % 32);
}

// QEMU asks a UART whether it takes bytes only when something happens in its main loop. Bytes that were sent
// before the UART was on would wait there for up to a second, so make a timer happen.
static inline void wake_emulator(void) {
    SYSTICK_LOAD = 1000;
    SYSTICK_CTRL = SYSTICK_CTRL_RUN;
    while (!(SYSTICK_CTRL & SYSTICK_CTRL_WRAPPED)) {
    }
    SYSTICK_CTRL = 0;
}
