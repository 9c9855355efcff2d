"""In which order the needles are placed and the lesions injected."""

from __future__ import annotations

from collections.abc import Sequence


def working_order(pleural_crossings: Sequence[int]) -> list[int]:
    """Numbers of the ways in the order of the work.

    Those that do not cross the pleura come first, then those with fewer crossings: a pneumothorax
    moves what is planned, and may end the session (customary). Else the order given.
    """
    return sorted(range(len(pleural_crossings)), key=lambda one: (pleural_crossings[one], one))
