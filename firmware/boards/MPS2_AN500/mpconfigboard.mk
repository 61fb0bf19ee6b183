# Cortex-M7 in Arm's MPS2 board: floats of 32 and 64 bits in hardware.

QEMU_MACHINE = mps2-an500

CFLAGS += -mthumb -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M7"'

MPY_CROSS_FLAGS += -march=armv7emdp

include $(BOARD_DIR)/../mps2.mk
