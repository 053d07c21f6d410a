"""What a live listener shows beside the words: how loud the sound is, and whether the machine keeps up."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

METER_FLOOR_DB = -60.0  # dB; the meter shows nothing below
PACE_WINDOW_S = 10.0  # s of sound over which the real-time factor is averaged
MAX_LAG_S = 1.0  # s of lag that are worth a line


def level(samples: np.ndarray) -> float:
    """Of a block (n,) in -1..1: root mean square in dB below full scale, at least QUIETEST."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(METER_FLOOR_DB, 10 * math.log10(power)) if power > 0 else METER_FLOOR_DB


def bar(decibels: float, width: int = 10) -> str:
    """-30.0 -> "#####-----" """
    filled = round(width * (1 - min(0.0, decibels) / METER_FLOOR_DB))
    return "#" * filled + "-" * (width - filled)


class Pace(NamedTuple):
    """How a stream's processing goes: a value, replaced after every block.

    The lag is that of a queue (Lindley 1952): it grows by the time that a block takes and shrinks by the block's
    length. So it needs no clock of the sound card, whose drift over days would look like one.
    """

    lag: float = 0.0  # s of sound that wait because processing takes too long
    factor: float = 0.0  # real-time factor: seconds of processing for a second of sound, of late

    def after(self, spent: float, heard: float) -> Pace:
        """``spent`` s on a block of ``heard`` s."""
        if not heard:
            return self._replace(lag=self.lag + spent)
        weight = 1 - math.exp(-heard / PACE_WINDOW_S)
        return Pace(max(0.0, self.lag + spent - heard), self.factor + weight * (spent / heard - self.factor))

    @property
    def warning(self) -> str:
        """A sentence for the user when the machine cannot keep up; else empty."""
        if self.lag < MAX_LAG_S:
            return ""
        return (
            f"this machine cannot keep up: {self.lag:.1f} s behind, {self.factor:.1f} s of work for a second of sound"
        )
