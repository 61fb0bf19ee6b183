# Cortex-M33 in Arm's MPS2 board; everything runs in the secure state, in which it starts.

QEMU_MACHINE = mps2-an505

CFLAGS += -mthumb -mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M33"'

# The secure addresses of the peripherals.
MPS2_UART = 0x50200000
MPS2_UART_IRQ = 32
MPS2_FPGAIO = 0x50302000
MPS2_HZ = 20000000

SRC_BOARD_O = shared/runtime/gchelper_generic.o

MPY_CROSS_FLAGS += -march=armv7emsp

include $(BOARD_DIR)/../mps2.mk
