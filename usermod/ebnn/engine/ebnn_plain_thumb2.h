// The inner loop of ebnn_plain.c for Thumb-2: 26 instructions for three words. No r7, which is the frame pointer where
// there is one.

// r0: x, r1: w, r2: end of x, r3: counts in bytes, r11, r12: masks, lr: the job.
static void count_threes(const count_t *job) {
    count_t own = { job->x, job->w, job->next, job->sums, job->last, job->end, job->keep };
    register count_t *p __asm__("lr") = &own;
    // clang-format off
    __asm__ volatile(
        "ldr r1, [lr, #4]\n ldr r2, [lr, #20]\n mov r11, #0x55555555\n mov r12, #0x33333333\n"
        "1: ldr r0, [lr]\n mov r3, #0\n"
        "2: ldm r0!, {r4-r6}\n ldm r1!, {r8-r10}\n"
        "eor r4, r4, r8\n eor r5, r5, r9\n eor r6, r6, r10\n"
        "and r8, r4, r5\n eor r4, r4, r5\n and r5, r4, r6\n eor r4, r4, r6\n orr r5, r5, r8\n" // r4: ones, r5: twos
        "and r6, r11, r4, lsr #1\n and r8, r11, r5, lsr #1\n sub r4, r4, r6\n sub r5, r5, r8\n"
        "and r6, r4, r12\n and r4, r12, r4, lsr #2\n and r8, r5, r12\n and r5, r12, r5, lsr #2\n"
        "add r4, r4, r6\n add r5, r5, r8\n add r4, r4, r5, lsl #1\n"
        "and r6, r4, #0x0f0f0f0f\n eor r4, r4, r6\n add r3, r3, r6\n add r3, r3, r4, lsr #4\n"
        "cmp r0, r2\n bne 2b\n"
        "and r4, r3, #0x00ff00ff\n eor r3, r3, r4\n add r3, r4, r3, lsr #8\n add r3, r3, r3, lsl #16\n"
        "ldrd r4, r5, [lr, #8]\n ldr r6, [r5]\n ldr r8, [lr, #24]\n and r6, r6, r8\n add r6, r6, r3, lsr #16\n str r6, [r5], #4\n str r5, [lr, #12]\n"
        "add r1, r1, r4\n ldr r6, [lr, #16]\n cmp r5, r6\n bne 1b\n"
        : "+r"(p)
        :
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    // clang-format on
}
