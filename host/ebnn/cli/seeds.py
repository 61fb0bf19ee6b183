"""ebnn train --seeds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ebnn.cli.screen import Screen

if TYPE_CHECKING:
    from ebnn.train.seeds import Seeds


def run_seeds(seeds: Seeds, jobs: int, aside: bool) -> dict:
    """Train with several seeds, and tell how far they lie apart.

    Args:
        seeds: what is trained.
        jobs: processes.
        aside: whether the table goes to the errors' output, too.

    Returns:
        The metrics of the selected one, with the spread of all.
    """
    from ebnn.train.pool import Pool
    from ebnn.train.seeds import train_seeds

    screen = Screen(sys.stderr if aside else sys.stdout)
    with screen.training(seeds.folder), Pool(seeds.folder, jobs, screen.line, screen.status) as pool:
        metrics, table = train_seeds(seeds, pool)
    screen.line(table.text())
    screen.line(f"seed {metrics['seed']} is exported into {seeds.folder}")
    return metrics
