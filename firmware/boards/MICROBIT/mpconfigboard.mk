# Cortex-M0 with the memory of the real chip: 256 KB of flash, 16 KB of RAM.

QEMU_ARCH = arm
QEMU_MACHINE = microbit
EBNN_MACHINE = nrf51

CFLAGS += -mthumb -mcpu=cortex-m0 -mfloat-abi=soft
CFLAGS += -DMICROPY_HW_MCU_NAME='"nRF51"'

# The rest of the 16 KB: about 1.1 KB of .data and .bss, 5 KB of stack.
MICROPY_HEAP_SIZE = 10240

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o

MPY_CROSS_FLAGS += -march=armv6m

include $(BOARD_DIR)/../common.mk
