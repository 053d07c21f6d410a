"""What commands say on the terminal: on standard error, so that standard output holds results; options of many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence


def add_model(p: argparse.ArgumentParser, name: str = "--model", what: str = "") -> None:
    """Which speech recogniser, for asr.load."""
    which = "packaged model, or checkpoint file (default: english)"
    p.add_argument(name, default="english", metavar="NAME", help=what + which)


def positive(text: str) -> int:
    """The type of an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def milliseconds(most: int) -> Callable[[str], float]:
    """The type of an option for a latency of 80 ms or more: "320ms" or "320" -> 320.0"""

    def read(text: str) -> float:
        number = text.removesuffix("ms")
        if not number.isdecimal() or not 80 <= int(number) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no latency: give 80 to {most} ms, for example 320ms")
        return float(number)

    return read


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(text: str) -> int:
    """Say what is wrong -> the exit status of a command that could not start."""
    say(f"error: {text}")
    return 2


def clock(seconds: float) -> str:
    """3723.5 -> 1:02:03"""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 60 else f"{seconds:.1f} s"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as need be; numbers to the right, under a first row of titles."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    right = [all(cell[:1].isdigit() for cell in column[1:]) for column in zip(*texts)]
    lines = ["  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)
