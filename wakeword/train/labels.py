"""Extended-one labels: the target is 1 for a span after the trigger word has ended, 0 elsewhere.

The lecture's trick (Ng, Sequence Models, week 3: trigger word detection): a single 1 in a long row of zeros is
hard to learn from and hard to hit; a span of them is neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def extended_ones(steps: int, ends: Sequence[int], span: int) -> np.ndarray:
    """(steps,) float32: 1 at the ``span`` steps from each end on, 0 elsewhere.

    ``ends`` are the first steps after each word; what lies beyond the last step is cut off.
    Raises ValueError when ``span`` is below 1 or an end is negative.
    """
    if span < 1 or any(end < 0 for end in ends):
        raise ValueError(f"labels need a span of at least 1 step and ends from 0 on, not {span} and {list(ends)}")
    targets = np.zeros(steps, np.float32)
    for end in ends:
        targets[end : end + span] = 1
    return targets
