"""One run on several processes, by ChainerMN over MPI: ``mpiexec -n 2 ebnn train --distributed``.

Every process draws the same random numbers, so all know every batch and start with the same weights; each takes its
share of the batch, the gradients are averaged, and all make the same step. What batch norm normalizes with is of a
process's own share, as if the batch was so much smaller; the statistics for inference are the mean over the
processes. After every epoch the processes compare their weights. The first process alone reads checkpoints, writes
files and reports.

On one process the same loop gives the same bytes as without ``--distributed``; on two, other roundings and other batch
norm statistics make it another run, that is repeated exactly with as many processes.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from ebnn.errors import ConfigError
from ebnn.train import parallel
from ebnn.train.compat import chainer
from ebnn.train.links import BatchNorm

T = TypeVar("T")
LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")  # what MPICH and Open MPI tell a process of the number of all


class Alone:
    """The team of one process: everything is its own."""

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raise ConfigError where the shares of a batch could not be of the same size, 2 images or more."""
        if batch % self.size or batch < 2 * self.size:
            raise ConfigError(
                f"batch {batch} cannot be shared by {self.size} processes: take a multiple of {self.size}"
            )

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of an array, by its first axis."""
        edges = [len(rows) * index // self.size for index in (self.rank, self.rank + 1)]
        return rows[slice(*edges)]

    def broadcast(self, found: T) -> T:
        """What the first process found."""
        return found

    def mean(self, *values: float) -> tuple[float, ...]:
        """Each value's mean over the processes."""
        return values

    def average_gradients(self, chain: chainer.Chain) -> None:
        """Make every gradient its mean over the processes."""

    def average_statistics(self, chain: chainer.Chain) -> None:
        """Make the batch norm statistics for inference their mean over the processes."""

    def check_alike(self, chain: chainer.Chain) -> None:
        """Raise ConfigError where two processes have different parameters: their sums were rounded differently."""


class Team(Alone):
    """Several processes.

    Args:
        communicator: ChainerMN's.
    """

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size

    def broadcast(self, found: T) -> T:
        return self._communicator.mpi_comm.bcast(found)

    def mean(self, *values: float) -> tuple[float, ...]:
        sums = self._communicator.allreduce(np.array(values, np.float64))
        return tuple(float(value) / self.size for value in sums)

    def average_gradients(self, chain: chainer.Chain) -> None:
        self._communicator.multi_node_mean_grad(chain, zero_fill=True)

    def average_statistics(self, chain: chainer.Chain) -> None:
        for _, link in sorted(chain.namedlinks()):
            if isinstance(link, BatchNorm):
                for name in ("mean", "variance"):
                    own = np.ascontiguousarray(getattr(link, name))
                    setattr(link, name, self._communicator.allreduce(own) / np.float32(self.size))

    def check_alike(self, chain: chainer.Chain) -> None:
        arrays = [param.array for _, param in sorted(chain.namedparams())]
        own = zlib.crc32(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
        if len(set(self._communicator.mpi_comm.allgather(own))) > 1:
            raise ConfigError("the processes' weights have become different: take machines of one kind, or one process")


ALONE = Alone()


def team() -> Alone:
    """The processes that train together; this one alone outside of ``joined``."""
    return getattr(chainer.config, "ebnn_team", ALONE)


def check_alone() -> None:
    """Raise ConfigError where a launcher started several processes that would not know of each other."""
    if any(int(os.environ.get(name) or 1) > 1 for name in LAUNCHERS):
        raise ConfigError("mpiexec started several processes: give --distributed, so that they train together")


@contextmanager
def joined() -> Iterator[Alone]:
    """Within the context, runs are shared by all processes that ``mpiexec`` started; without it this one is alone.

    An error of any process ends all of them, so that none waits for ever. The processes of a machine share its CPUs.

    Raises:
        ConfigError: there is no MPI library.
        ModuleNotFoundError: mpi4py is not installed.
    """
    communicator = _communicator()
    together = Team(communicator)
    os.environ.setdefault("EBNN_THREADS", str(max(1, parallel.threads() // communicator.intra_size)))
    try:
        with chainer.using_config("ebnn_team", together):
            yield together
    except BaseException as error:
        if together.size > 1:
            print(f"error: process {together.rank + 1} of {together.size}: {error}", file=sys.stderr, flush=True)
            communicator.mpi_comm.Abort(1)
        raise


def _communicator() -> Any:
    try:
        from mpi4py import MPI
    except ModuleNotFoundError:
        raise
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"no MPI library ({error}): apt-get install mpich, or pip install mpich") from None
    import chainermn

    return chainermn.create_communicator("naive", MPI.COMM_WORLD)
