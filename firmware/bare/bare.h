// What a bare-metal image of the bench can use.
#ifndef BARE_H
#define BARE_H

#include <stdint.h>

// Code of the bench itself, which the plugin leaves out of its counts.
#define BARE_HARNESS __attribute__((section(".harness")))

// The plugin counts from the return of bare_begin to the call of bare_end, and starts at 0 each time.
void bare_begin(void);
void bare_end(void);

// Memory from the end of the variables to the stack, which begins at bare_stack_top and grows down.
extern uint32_t bare_free[], bare_stack_top[];

// What QEMU's loader put into memory: words of a header, then bytes.
extern const uint32_t bare_case[];

void bare_print(const char *text);
void bare_print_word(const char *name, uint32_t value); // "NAME HEX\n"
void bare_exit(uint32_t status) __attribute__((noreturn));

int main(void); // its result is the status

#endif
