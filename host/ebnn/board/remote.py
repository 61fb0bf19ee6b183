# The part of `ebnn install` that runs on the board: pasted, MicroPython's subset, small. The host imports it for its
# text only.
# ruff: noqa: SIM105 (MicroPython has no contextlib)

import gc
import os
import sys


def ebnn_facts():
    # A literal that says what this board is; the heap first, before anything is imported.
    gc.collect()
    free = gc.mem_free()
    one = sys.implementation
    mpy = getattr(one, "_mpy", getattr(one, "mpy", 0))
    machine = getattr(one, "_machine", sys.platform)
    facts = {"name": one.name, "version": one.version[:3], "mpy": mpy, "machine": machine, "free": free}
    facts["path"] = list(sys.path)
    try:
        import ebnn

        facts["ebnn"] = ebnn.__version__, ebnn.FORMAT, getattr(ebnn, "__file__", None)
    except ImportError:
        facts["ebnn"] = None
    except Exception as error:  # an old or broken one, which will be replaced
        facts["ebnn"] = "", (), type(error).__name__
    facts["rom"] = ebnn_rom()
    try:
        import binascii

        facts["base64"] = hasattr(binascii, "a2b_base64")
    except ImportError:
        facts["base64"] = False
    return facts


def ebnn_rom():
    # Size of the ROMFS and of its blocks (0: it is written with rom_ioctl); None without one.
    try:
        import vfs

        dev = vfs.rom_ioctl(2, 0)
    except (ImportError, AttributeError, OSError):
        return None
    if isinstance(dev, int):
        return None
    if hasattr(dev, "ioctl"):
        return dev.ioctl(4, 0) * dev.ioctl(5, 0), dev.ioctl(5, 0)
    return len(dev), 0


def ebnn_free(folder):
    # Bytes of free space, None where there is no file system.
    try:
        stat = os.statvfs(folder or ".")
    except (OSError, AttributeError):
        return None
    return stat[1] * stat[3] if stat[2] else None


def ebnn_hash(blocks):
    # (what, digest) of blocks of bytes: SHA-256, or CRC-32 where the board has none.
    try:
        from hashlib import sha256

        hasher = sha256()
        for block in blocks:
            hasher.update(block)
        return "sha256", hasher.digest()
    except ImportError:
        pass
    crc = 0xFFFFFFFF
    for block in blocks:
        for byte in block:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return "crc32", (crc ^ 0xFFFFFFFF).to_bytes(4, "little")


def ebnn_blocks(path):
    with open(path, "rb") as file:
        while True:
            block = file.read(256)
            if not block:
                return
            yield block


def ebnn_digest(path):
    # (size, what, digest) of a file, None where there is none.
    try:
        size = os.stat(path)[6]
    except OSError:
        return None
    return (size,) + ebnn_hash(ebnn_blocks(path))


def ebnn_decode(text):
    try:
        from binascii import a2b_base64

        return a2b_base64(text)
    except ImportError:
        return bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))


def ebnn_append(path, text):
    data = ebnn_decode(text)
    with open(path, "ab") as file:
        if file.write(data) != len(data):
            raise OSError(28)


def ebnn_mkdir(folder):
    for i in range(1, len(folder) + 1):
        if folder[i : i + 1] in ("/", ""):
            try:
                os.mkdir(folder[:i])
            except OSError:  # it is there; what is wrong else shows when a file is made in it
                pass


def ebnn_remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


def ebnn_replace(part, path):
    try:
        os.rename(part, path)
    except OSError:  # FAT does not rename over a file; the new one is whole and verified
        os.remove(path)
        os.rename(part, path)


def ebnn_rom_prepare(size, block):
    # Erase; the least number of bytes to write at once.
    import vfs

    try:
        vfs.umount("/rom")
    except OSError:
        pass
    if not block:
        return vfs.rom_ioctl(3, 0, size)
    for i in range((size + block - 1) // block):
        vfs.rom_ioctl(2, 0).ioctl(6, i)
    return 1


def ebnn_rom_write(offset, text, block):
    import vfs

    data = ebnn_decode(text)
    if block:
        return vfs.rom_ioctl(2, 0).writeblocks(offset // block, data, offset % block)
    return vfs.rom_ioctl(4, 0, offset, data)


def ebnn_rom_read(start, end):
    import vfs

    return bytes(memoryview(vfs.rom_ioctl(2, 0))[start:end])


def ebnn_rom_digest(size):
    return ebnn_hash(ebnn_rom_read(at, min(at + 256, size)) for at in range(0, size, 256))


def ebnn_rom_finish(block):
    import vfs

    return 0 if block else vfs.rom_ioctl(5, 0)


def ebnn_rom_mount():
    # Real ports do it when they start, where a ROMFS is there by then.
    import vfs

    try:
        vfs.mount(vfs.VfsRom(vfs.rom_ioctl(2, 0)), "/rom")
        sys.path.append("/rom")
    except OSError:
        pass


def ebnn_check(model):
    # Free heap before, and what `ebnn` says of itself and of its default model (where there is one). The small native
    # module has neither all of these attributes nor a self-test.
    gc.collect()
    before = gc.mem_free()
    import ebnn

    found = {"ebnn": (ebnn.__version__, ebnn.FORMAT, getattr(ebnn, "__file__", None)), "before": before}
    if model:
        import ebnn_model

        m = ebnn.load()
        found["model"] = getattr(ebnn_model, "__file__", None), m.arena_size, getattr(m, "copied", None)
        found["selftest"] = m.selftest() if hasattr(m, "selftest") else None
    gc.collect()
    found["after"] = gc.mem_free()
    return found


def ebnn_scores(text):
    import ebnn

    return ebnn.load().scores(ebnn_decode(text))
