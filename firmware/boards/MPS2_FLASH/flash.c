// RAM that stands for flash: it lasts as long as the emulator runs, through every soft reset. A ROMFS, written as on
// real ports (vfs.rom_ioctl), and a block device `flash` that is mounted at / when MicroPython starts.

#include <string.h>

#include "py/compile.h"
#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"
#include "extmod/vfs.h"

#define ROM_START ((uint8_t *)0x20300000)
#define ROM_SIZE (128 * 1024)
#define FLASH_START ((uint8_t *)0x20340000)
#define BLOCK (512)
#define BLOCKS (192)

static const MP_DEFINE_MEMORYVIEW_OBJ(rom_obj, 'B', 0, ROM_SIZE, ROM_START);

static mp_obj_t rom_write(size_t offset, mp_obj_t data) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(data, &info, MP_BUFFER_READ);
    if (offset > ROM_SIZE || info.len > ROM_SIZE - offset) {
        return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
    }
    for (size_t i = 0; i < info.len; i++) {
        ROM_START[offset + i] &= ((const uint8_t *)info.buf)[i]; // as in flash: what has not been erased stays
    }
    return MP_OBJ_NEW_SMALL_INT(0);
}

mp_obj_t mp_vfs_rom_ioctl(size_t n_args, const mp_obj_t *args) {
    mp_int_t request = mp_obj_get_int(args[0]);
    if (request == MP_VFS_ROM_IOCTL_GET_NUMBER_OF_SEGMENTS) {
        return MP_OBJ_NEW_SMALL_INT(1);
    }
    if (n_args < 2 || mp_obj_get_int(args[1]) != 0) {
        return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
    }
    if (request == MP_VFS_ROM_IOCTL_GET_SEGMENT) {
        return MP_OBJ_FROM_PTR(&rom_obj);
    }
    if (request == MP_VFS_ROM_IOCTL_WRITE_PREPARE && n_args == 3) {
        memset(ROM_START, 0xff, mp_obj_get_int(args[2]));
        return MP_OBJ_NEW_SMALL_INT(16);
    }
    if (request == MP_VFS_ROM_IOCTL_WRITE && n_args == 4) {
        return rom_write(mp_obj_get_int(args[2]), args[3]);
    }
    return MP_OBJ_NEW_SMALL_INT(request == MP_VFS_ROM_IOCTL_WRITE_COMPLETE ? 0 : -MP_EINVAL);
}

// The place of a transfer between `buffer` and the block device; arguments are block, buffer and an offset or none.
static uint8_t *place(size_t n_args, const mp_obj_t *args, mp_buffer_info_t *buffer, mp_uint_t flags) {
    mp_get_buffer_raise(args[1], buffer, flags);
    size_t at = mp_obj_get_int(args[0]) * BLOCK + (n_args > 2 ? mp_obj_get_int(args[2]) : 0);
    if (at > BLOCK * BLOCKS || buffer->len > BLOCK * BLOCKS - at) {
        mp_raise_OSError(MP_EIO);
    }
    return FLASH_START + at;
}

static mp_obj_t flash_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t info;
    const uint8_t *from = place(n_args, args, &info, MP_BUFFER_WRITE);
    memcpy(info.buf, from, info.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_readblocks_obj, 2, 3, flash_readblocks);

static mp_obj_t flash_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t info;
    uint8_t *to = place(n_args, args, &info, MP_BUFFER_READ);
    memcpy(to, info.buf, info.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_writeblocks_obj, 2, 3, flash_writeblocks);

static mp_obj_t flash_ioctl(mp_obj_t request, mp_obj_t argument) {
    (void)argument;
    switch (mp_obj_get_int(request)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(BLOCKS);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK);
        default:
            return MP_OBJ_NEW_SMALL_INT(0);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_2(flash_ioctl_obj, flash_ioctl);

static const mp_rom_map_elem_t flash_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_flash) },
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&flash_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&flash_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&flash_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(flash_globals, flash_globals_table);

// The module itself is the block device.
const mp_obj_module_t flash_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&flash_globals,
};
MP_REGISTER_MODULE(MP_QSTR_flash, flash_module);

// The file systems ask for the time; there is no calendar here.
uint32_t get_fattime(void) {
    return 0;
}

uint64_t mp_hal_time_ns(void) {
    return 0;
}

// What the frozen _boot.py of a real port does.
static const char boot[] = "import flash, vfs\n"
                           "try:\n"
                           "    vfs.mount(flash, '/')\n"
                           "except OSError:\n"
                           "    vfs.VfsLfs2.mkfs(flash)\n"
                           "    vfs.mount(flash, '/')\n"
                           "del flash, vfs\n";

void __real_mp_init(void);

void __wrap_mp_init(void) {
    __real_mp_init();
    mp_vfs_mount_romfs_protected(); // fails where no ROMFS has been written yet
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_lexer_t *lexer = mp_lexer_new_from_str_len(MP_QSTR__lt_stdin_gt_, boot, sizeof(boot) - 1, 0);
        mp_parse_compile_execute(lexer, MP_PARSE_FILE_INPUT, mp_globals_get(), mp_locals_get());
        nlr_pop();
    }
}
