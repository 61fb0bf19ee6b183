EBNN_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(EBNN_DIR)/modebnn.c
# The folder is the list, for micropython.cmake too.
EBNN_ENGINE := $(sort $(wildcard $(EBNN_DIR)/engine/*.c))
SRC_USERMOD_LIB_C += $(EBNN_ENGINE)

CFLAGS_USERMOD += -I$(EBNN_DIR)

# Ports build with -Os; the kernels are worth the 2.4 KB (M4) to 4 KB (M0) that speed takes, what runs once when a model is
# opened or a node begins is not. EBNN_COPT= leaves all as the port wants.
EBNN_COPT ?= -O2
EBNN_SMALL := ebnn_open ebnn_run ebnn_values
EBNN_FAST := $(filter-out $(EBNN_SMALL:%=$(EBNN_DIR)/engine/%.c),$(EBNN_ENGINE))
$(EBNN_FAST:$(EBNN_DIR)/%.c=$(BUILD)/$(notdir $(EBNN_DIR))/%.o): CFLAGS += $(EBNN_COPT)
