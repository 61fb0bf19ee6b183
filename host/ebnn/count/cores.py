"""The cores of the bench: compiler, flags, and the machine of QEMU that runs the image."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import lru_cache

from ebnn.errors import BuildError, ConfigError

RISCV_PACKAGES = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
MIB = 1 << 20


@dataclass(frozen=True)
class Core:
    """One core.

    Args:
        name: as in ``make bench CORE=name``.
        title: for tables.
        prefix: of the compiler's programs.
        flags: that choose the core for the compiler.
        link: the same for the linker and its libraries.
        machine: QEMU's program and the arguments that choose the machine.
        flash: address of code and case.
        ram: address and bytes of memory for the arena and the stack.
    """

    name: str
    title: str
    prefix: str
    flags: tuple[str, ...]
    link: tuple[str, ...]
    machine: tuple[str, ...]
    flash: int
    ram: tuple[int, int]

    @property
    def is_arm(self) -> bool:
        """Whether it is a Cortex-M, which `make test` may need; RISC-V is optional."""
        return self.prefix.startswith("arm")


def _arm(name: str, title: str, cpu: str, machine: tuple[str, ...], places: tuple[int, int, int]) -> Core:
    flags = ("-mthumb", f"-mcpu={cpu}", "-mfloat-abi=soft")
    flash, ram, size = places
    return Core(name, title, "arm-none-eabi-", flags, flags, ("qemu-system-arm", "-M", *machine), flash, (ram, size))


def _riscv(name: str, title: str, arch: str, zbb: str) -> Core:
    flags = (f"-march={arch}", "-mabi=ilp32", "-specs=picolibc.specs")
    link = ("-march=rv32imc", *flags[1:])  # GCC 12 finds no library for the arch with Zbb
    machine = ("qemu-system-riscv32", "-M", "virt", "-cpu", f"rv32,zbb={zbb}", "-bios", "none")
    return Core(name, title, "riscv64-unknown-elf-", flags, link, machine, 0x80000000, (0x80800000, 4 * MIB))


_MPS2 = (0, 0x20000000, 4 * MIB)
# The micro:bit has QEMU's only Cortex-M0; its 16 KB would not hold every case, and counts do not depend on its size.
_MICROBIT = ("microbit", "-global", "nrf51-soc.sram-size=262144", "-global", "nrf51-soc.flash-size=1048576")

CORES = (
    _arm("m0", "Cortex-M0", "cortex-m0", _MICROBIT, (0, 0x20000000, 262144)),
    _arm("m3", "Cortex-M3", "cortex-m3", ("mps2-an385",), _MPS2),
    _arm("m4", "Cortex-M4", "cortex-m4", ("mps2-an386",), _MPS2),
    _arm("m7", "Cortex-M7", "cortex-m7", ("mps2-an500",), _MPS2),
    _arm("m33", "Cortex-M33", "cortex-m33", ("mps2-an505",), (0x10000000, 0x38000000, 4 * MIB)),
    _riscv("rv32", "RV32IMC", "rv32imc", "false"),
    _riscv("rv32zbb", "RV32IMC + Zbb", "rv32imc_zbb", "true"),
)
BY_NAME = {core.name: core for core in CORES}


def find(names: str) -> tuple[Core, ...]:
    """Cores by name, joined by commas; ``all`` is every one.

    Raises:
        ConfigError: no such core.
    """
    if names == "all":
        return CORES
    for name in names.split(","):
        if name not in BY_NAME:
            raise ConfigError(f"no core {name}; there are {', '.join(BY_NAME)}, and all")
    return tuple(BY_NAME[name] for name in names.split(","))


@lru_cache
def missing(core: Core) -> str | None:
    """What this computer lacks to count on ``core``, and how to get it; None where nothing is missing."""
    wanted = (f"{core.prefix}gcc", core.machine[0])
    lacks = [program for program in wanted if shutil.which(program) is None]
    if not lacks:
        return None
    how = "make toolchain installs it" if core.is_arm else f"install with: sudo apt-get install {RISCV_PACKAGES}"
    return f"{core.name} needs {' and '.join(lacks)}: {how}"


def require(core: Core) -> None:
    """Raises BuildError where ``missing`` finds something."""
    lack = missing(core)
    if lack:
        raise BuildError(lack)


def usable(names: str) -> tuple[Core, ...]:
    """``find``, without those of ``all`` that this computer cannot build and emulate: a line says what they need.

    Raises:
        BuildError: a core asked for by name is not usable.
    """
    found = []
    for core in find(names):
        if names != "all":
            require(core)
        if missing(core):
            print(f"skipped: {missing(core)}", flush=True)
        else:
            found.append(core)
    return tuple(found)
