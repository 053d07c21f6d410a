"""Sound in: files and microphones to 16 kHz mono blocks, blocks to log-mel frames, and which of them are speech."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.audio.files import *  # noqa: F403

_OF_FILES = "SAMPLE_RATE STDIN SUFFIXES AudioCutOff AudioError Recording Source Wanted"
_OF_FILES += " blocks duration find load recording"


def __getattr__(name: str) -> Any:
    """Reading files brings libraries that a wake word on a microphone does without: imported when first asked for."""
    if name not in _OF_FILES.split():
        raise AttributeError(f"module 'asr.audio' has no attribute {name!r}")
    from asr.audio import files

    return getattr(files, name)
