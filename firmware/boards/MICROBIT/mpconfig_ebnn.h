// What the port leaves out and a person at the prompt, or the harness, needs.

#include <mpconfigport.h>

#undef MICROPY_PY_SYS_STDIO_BUFFER
#define MICROPY_PY_SYS_STDIO_BUFFER (1)

#undef MICROPY_PY_TIME
#define MICROPY_PY_TIME (1)
