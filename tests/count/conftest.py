"""Cores that this computer can emulate; the others' tests are skipped with what is missing."""

from __future__ import annotations

import pytest

from ebnn.count import cores
from ebnn.count.cores import Core


@pytest.fixture(params=[core.name for core in cores.CORES])
def core(request: pytest.FixtureRequest) -> Core:
    """Each core. Only RISC-V may be missing: `make test` installs the others."""
    found = cores.BY_NAME[request.param]
    if not found.is_arm and cores.missing(found):
        pytest.skip(cores.missing(found))
    return found
