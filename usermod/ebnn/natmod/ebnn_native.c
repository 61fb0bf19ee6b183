// The native module in one piece: what is not used falls out, and nothing is called through a table.

#include "modebnn.c"

#ifdef EBNN_SMALL
#include "small/ebnn_small.c"
#else
#include "engine/ebnn_bytes.c"
#include "engine/ebnn_depthwise.c"
#include "engine/ebnn_hits.c"
#include "engine/ebnn_input.c"
#include "engine/ebnn_lanes.c"
#include "engine/ebnn_open.c"
#include "engine/ebnn_plain.c"
#include "engine/ebnn_run.c"
#include "engine/ebnn_values.c"
#endif

// What compilers call by themselves.
void *memmove(void *to, const void *from, size_t size) {
    return mp_fun_table.memmove_(to, from, size);
}

void *memcpy(void *to, const void *from, size_t size) {
    return mp_fun_table.memmove_(to, from, size);
}

void *memset(void *to, int byte, size_t size) {
    return mp_fun_table.memset_(to, byte, size);
}

#ifdef __ARM_ARCH_6M__
// The quotient in the first register, the rest in the second.
__attribute__((used)) uint64_t __aeabi_uidivmod(uint32_t dividend, uint32_t divisor) {
    uint32_t quotient = 0, rest = 0;
    for (uint32_t bit = 32; bit-- != 0;) {
        rest = rest << 1 | (dividend >> bit & 1);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient++;
        }
    }
    return (uint64_t)rest << 32 | quotient;
}

__attribute__((used)) uint32_t __aeabi_uidiv(uint32_t dividend, uint32_t divisor) {
    return (uint32_t)__aeabi_uidivmod(dividend, divisor);
}

// The engine divides no signed numbers; compilers name these where they know that neither operand is negative.
__attribute__((used, alias("__aeabi_uidiv"))) uint32_t __aeabi_idiv(uint32_t, uint32_t);
__attribute__((used, alias("__aeabi_uidivmod"))) uint64_t __aeabi_idivmod(uint32_t, uint32_t);
#endif
