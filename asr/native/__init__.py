"""What is compiled on installation; a part is None where there was no compiler, or an older one was left."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

SOURCES = {"search": 4, "encoder": 1}  # as in their .cpp: which calls the compiled parts answer to


def _part(name: str) -> ModuleType | None:
    try:
        part = import_module(f"asr.native.{name}")
    except ImportError:
        return None
    return part if getattr(part, "SOURCES", 1) == SOURCES[name] else None  # left from before an update: install again


if TYPE_CHECKING:
    from asr.native import encoder, search
else:
    search, encoder = _part("search"), _part("encoder")
