"""What libraries in C print of their own view of things, kept out of standard error; ours is raised."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0  # how many are quiet at the moment
_kept = -1  # the descriptor that standard error has meanwhile


@contextmanager
def quiet() -> Iterator[None]:
    """Whatever this process writes to the descriptor of standard error is lost; any number of threads may do so."""
    global _inside, _kept
    with _lock:
        if not _inside:
            _kept = _closed()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _kept >= 0:
                os.dup2(_kept, 2)
                os.close(_kept)


def _closed() -> int:
    """Standard error leads nowhere from now on -> a copy of what it was; -1: there was none."""
    try:
        kept = os.dup(2)
    except OSError:
        return -1
    with open(os.devnull, "wb") as hole:
        os.dup2(hole.fileno(), 2)
    return kept


@contextmanager
def quiet_codecs() -> Iterator[None]:
    """The same where Python's own messages go another way, so that none of them is lost: asr/commands/terminal.py."""
    if sys.stderr is None or _descriptor() == 2:
        yield
        return
    with quiet():
        yield


def _descriptor() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # a test or a notebook caught it
        return 2
