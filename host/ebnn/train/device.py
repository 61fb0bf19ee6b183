"""Where a chain is trained: on the CPU, or on a GPU through CuPy, where ``EBNN_DEVICE`` names one (``@cupy:0``).

The code is the same: images travel as bytes, and the integers do not depend on where they were computed.
"""

from __future__ import annotations

import os

from ebnn.errors import ConfigError
from ebnn.train.compat import chainer

VARIABLE = "EBNN_DEVICE"
FIRST_GPU = "@cupy:0"


def place(chain: chainer.Chain) -> None:
    """Move a chain to the device that is asked for.

    Raises:
        ConfigError: there is none of that name, or CuPy is missing.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return
    try:
        device = chainer.get_device(name)
        device.use()
        chain.to_device(device)
    # CuPy's own errors are no subclasses of one another, and of types that exist only where CuPy does.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{VARIABLE}={name}: {reason}: a GPU needs CuPy with CUDA or ROCm") from None
