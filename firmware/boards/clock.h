// The counter of the machine that times everything.

void clock_init(void);
