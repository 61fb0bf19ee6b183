EBNN_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(EBNN_DIR)/modebnn.c
SRC_USERMOD_LIB_C += $(EBNN_DIR)/engine/ebnn_open.c $(EBNN_DIR)/engine/ebnn_run.c \
    $(EBNN_DIR)/engine/ebnn_plain.c $(EBNN_DIR)/engine/ebnn_lanes.c \
    $(EBNN_DIR)/engine/ebnn_bytes.c $(EBNN_DIR)/engine/ebnn_input.c

CFLAGS_USERMOD += -I$(EBNN_DIR)

# Ports build with -Os; the kernels are worth the 1.5 KB that speed takes. EBNN_COPT= leaves them as the port wants.
EBNN_COPT ?= -O2
$(addprefix $(BUILD)/$(notdir $(EBNN_DIR))/engine/ebnn_,run.o plain.o lanes.o bytes.o): CFLAGS += $(EBNN_COPT)
