"""Wake words: a trigger-word RNN trained with extended-one labels, and any phrase by the speech recogniser.

import wakeword
detector = wakeword.load("hey-computer.safetensors")
print(detector.detect(samples))  # (n,) float32 at 16 kHz
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wakeword.detector import Detection, Detector, DetectorError, DetectorOptions, load

__all__ = ["Detection", "Detector", "DetectorError", "DetectorOptions", "load"]


def __getattr__(name: str) -> Any:
    """The detector is imported when it is first asked for, as in asr."""
    if name in __all__:
        from wakeword import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'wakeword' has no attribute {name!r}")
