"""What is compiled on installation; a part is None where there was no compiler, or an older one was left."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.native import encoder as encoder
    from asr.native import search as search
    from asr.native import training as training

SOURCES = {"search": 8, "encoder": 4, "training": 2}  # as in their .cpp: which calls the compiled parts answer to


def __getattr__(name: str) -> ModuleType | None:
    """A part when it is first asked for."""
    if name not in SOURCES:
        raise AttributeError(name)
    try:
        part = import_module(f"asr.native.{name}")
    except ImportError:
        part = None
    if getattr(part, "SOURCES", 1) != SOURCES[name]:  # left from before an update: install again
        part = None
    globals()[name] = part
    return part
