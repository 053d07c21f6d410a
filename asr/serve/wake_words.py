"""Wake words come from a package above this one: registered here by its name, and loaded when a server starts.

The package `asr` imports nothing of it otherwise.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PROVIDER = "wakeword.serve"  # a module with `detectors(names, phrases, recognizer)` and `Watch(detectors, names)`


def provider() -> Any:
    return import_module(PROVIDER)
