"""Text that people can read: the recogniser's words with figures, capitals and punctuation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dates = Literal["said", "us", "uk"]  # the order of their parts: as said, "May 3, 2021", "3 May 2021"
Numbers = Literal["always", "large", "never"]  # in figures: all; ten and more, and what counts a unit; none


@dataclass(frozen=True)
class WrittenOptions:
    """How text is written."""

    numbers: Numbers = "large"
    dates: Dates = "said"
