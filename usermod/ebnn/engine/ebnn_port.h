// What a port may want to change; define any of these before including ebnn.h or on the command line.
#ifndef EBNN_PORT_H
#define EBNN_PORT_H

// Whether __builtin_popcount is an instruction. Elsewhere it is a call into libgcc, which is slow and which a native
// module cannot link; the engine then counts by itself.
#ifndef EBNN_HAS_POPCOUNT
#if defined(__riscv_zbb) || defined(__POPCNT__)
#define EBNN_HAS_POPCOUNT
#endif
#endif

// A build may leave the fast kernels out, and runs every model with the plain one then. Where counting is an
// instruction, lanes have nothing to gain.
#if !defined(EBNN_WITHOUT_LANES) && !defined(EBNN_HAS_POPCOUNT)
#define EBNN_WITH_LANES
#endif
#ifndef EBNN_WITHOUT_BYTES
#define EBNN_WITH_BYTES
#endif

// A build may leave operators out, too. A model that needs one of these gets EBNN_E_OP when it is opened.
//
//     EBNN_WITHOUT_DEPTHWISE      depthwise convolution
//     EBNN_WITHOUT_INTEGERS       values of i8 and i16, maps of integers, gains, second inputs
//     EBNN_WITHOUT_INT8_WEIGHTS   weights of more than a bit
//     EBNN_WITHOUT_BORDER_NONE    padding that does not count

// Between two polls there is no more work than this many instructions, by a rough count which is rather too high.
#ifndef EBNN_POLL_WORK
#define EBNN_POLL_WORK (1U << 18)
#endif

#endif
