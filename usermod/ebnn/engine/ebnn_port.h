// What a port may want to change; define any of these before including ebnn.h or on the command line.
#ifndef EBNN_PORT_H
#define EBNN_PORT_H

// Number of ones of a 32-bit word. The default needs no library: __builtin_popcount becomes a call into libgcc
// on every core without a popcount instruction, and a native module cannot link it.
#ifndef EBNN_POPCOUNT
#if defined(__riscv_zbb) || defined(__POPCNT__)
#define EBNN_POPCOUNT(x) ((uint32_t)__builtin_popcount(x))
#else
#define EBNN_POPCOUNT(x) ebnn_popcount(x)
#endif
#endif

#endif
