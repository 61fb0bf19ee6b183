# Cortex-M3 in Arm's MPS2 board, with flash and RAM told apart (the port's own script has one region).

QEMU_MACHINE = mps2-an385

CFLAGS += -mthumb -mcpu=cortex-m3 -mfloat-abi=soft
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M3"'

MPY_CROSS_FLAGS += -march=armv7m

include $(BOARD_DIR)/../mps2.mk
