# Shared by the boards here, included at the end of each mpconfigboard.mk.

EBNN_BOARDS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

CFLAGS += -I$(EBNN_BOARDS) -DMP_CONFIGFILE='<mpconfig_ebnn.h>'

LDSCRIPT = $(BOARD_DIR)/link.ld
LDFLAGS += -L$(EBNN_BOARDS) -Wl,--wrap=mp_stack_set_limit

vpath %.c $(EBNN_BOARDS)
SRC_BOARD_O += clock.o console.o stack.o $(EBNN_MACHINE).o
