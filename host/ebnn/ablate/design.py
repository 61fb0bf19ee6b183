"""Screening designs of Plackett and Burman (1946), in the construction of Paley (1933).

For a prime q of the form 4 k + 3, q factors fit into q + 1 runs: one row is all low, row r is the sequence "high at 0
and at the squares modulo q, else low", shifted by r. Any two columns are orthogonal, so every main effect is
estimated from all runs as well as if it was the only factor. What two factors do together is not separated from the
main effects of the others, but spread over them in equal small parts. A foldover (the same runs with all levels
exchanged as well) frees the main effects of it, at twice the price.
"""

from __future__ import annotations

from itertools import count

import numpy as np

FEWEST_RUNS = 12


def screening(factors: int, foldover: bool = False) -> np.ndarray:
    """The smallest design of 12 runs or more that has at least one column more than there are factors.

    The columns that no factor takes tell how large an effect is by chance.

    Returns:
        int8 (runs, columns) of -1 (low) and +1 (high).
    """
    prime = next(q for q in count(max(FEWEST_RUNS - 1, factors + 1)) if q % 4 == 3 and _is_prime(q))
    design = plackett_burman(prime)
    return np.concatenate([design, -design]) if foldover else design


def plackett_burman(prime: int) -> np.ndarray:
    """int8 (prime + 1, prime) of -1 and +1; the first run is all low."""
    high = {0} | {i * i % prime for i in range(1, prime)}
    shifted = [[1 if (column - row) % prime in high else -1 for column in range(prime)] for row in range(prime)]
    return np.array([[-1] * prime, *shifted], np.int8)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
