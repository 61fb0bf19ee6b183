# Cortex-M4F in Arm's MPS2 board: floats of 32 bits in hardware.

QEMU_MACHINE = mps2-an386

CFLAGS += -mthumb -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M4"'

MPY_CROSS_FLAGS += -march=armv7emsp

include $(BOARD_DIR)/../mps2.mk
