// What the port leaves out and a person at the prompt, or the harness, needs.

#include <mpconfigport.h>

#undef MICROPY_PY_SYS_STDIO_BUFFER
#define MICROPY_PY_SYS_STDIO_BUFFER (1)

#undef MICROPY_PY_TIME
#define MICROPY_PY_TIME (1)

// The port has native code on every core but this one. A .mpy with machine code needs it.
#if defined(__ARM_ARCH_6M__)
#define MICROPY_EMIT_THUMB (1)
#define MICROPY_EMIT_THUMB_ARMV7M (0)
#endif
