# The MPS2 AN385 with what a board with flash has besides: a file system at / and a ROMFS at /rom, in the RAM behind
# MicroPython's. Only the tests of `ebnn install` use it (tests/board/mps2-flash.toml).

CFLAGS += -I$(BOARD_DIR)

MICROPY_VFS_LFS2 = 1
MICROPY_VFS_FAT = 1

vpath %.c $(BOARD_DIR)
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
SRC_BOARD_O += shared/timeutils/timeutils.o flash.o
SRC_QSTR += $(BOARD_DIR)/flash.c
LDFLAGS += -Wl,--wrap=mp_init

include $(BOARD_DIR)/../MPS2_AN385/mpconfigboard.mk
