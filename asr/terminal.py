"""What commands say on the terminal: on standard error, so that standard output holds results; an option of many."""

from __future__ import annotations

import argparse
import sys


def add_model(p: argparse.ArgumentParser, name: str = "--model", what: str = "") -> None:
    """Which speech recogniser, for asr.load."""
    which = "packaged model, checkpoint file, or folder that `asr export` wrote (default: english)"
    p.add_argument(name, default="english", metavar="NAME", help=what + which)


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
