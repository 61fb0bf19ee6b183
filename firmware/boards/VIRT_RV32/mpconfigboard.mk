# RV32IMAC in QEMU's `virt` machine, with flash and RAM told apart.

QEMU_ARCH = riscv32
QEMU_MACHINE = virt
EBNN_MACHINE = virt

# Compilers differ in whether rv32imac has a library with `zicsr` in its name; in version 2.2 of the ISA it is in `i`.
RV32_ARCH = rv32imac
AFLAGS += -misa-spec=2.2

CFLAGS += -DMICROPY_HW_MCU_NAME='"$(RV32_ARCH)"'

MICROPY_HEAP_SIZE = 262144

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o

MPY_CROSS_FLAGS += -march=rv32imc

include $(BOARD_DIR)/../common.mk
