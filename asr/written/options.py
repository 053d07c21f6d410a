"""How text is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class WrittenOptions:
    """Which numbers are written in figures, and in which order the parts of a date."""

    numbers: Literal["always", "large", "never"] = "large"  # in figures; large: ten and more, and what counts a unit
    dates: Literal["said", "us", "uk"] = "said"  # their order: as said, "May 3, 2021", "3 May 2021"
