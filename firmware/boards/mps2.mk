# Arm's MPS2 boards as QEMU has them; a board's mpconfigboard.mk sets its CPU, and first of all what differs here.

QEMU_ARCH = arm
EBNN_MACHINE = mps2

MPS2_UART ?= 0x40004000
MPS2_UART_IRQ ?= 0
MPS2_FPGAIO ?= 0x40028000
MPS2_HZ ?= 25000000

CFLAGS += -DMPS2_UART=$(MPS2_UART) -DMPS2_UART_IRQ=$(MPS2_UART_IRQ) -DMPS2_FPGAIO=$(MPS2_FPGAIO) -DMPS2_HZ=$(MPS2_HZ)

MICROPY_HEAP_SIZE = 262144

SRC_BOARD_O ?= shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o

include $(BOARD_DIR)/../common.mk
