"""Sound in: files and microphones to 16 kHz mono blocks, blocks to log-mel frames, and which of them are speech."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.audio.files import (
        SAMPLE_RATE,
        STDIN,
        SUFFIXES,
        AudioCutOff,
        AudioError,
        Recording,
        Source,
        Wanted,
        blocks,
        duration,
        find,
        load,
        recording,
    )

__all__ = [
    "SAMPLE_RATE", "STDIN", "SUFFIXES", "AudioCutOff", "AudioError", "Recording", "Source", "Wanted",
    "blocks", "duration", "find", "load", "recording",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Reading files brings libraries that a wake word on a microphone does without: imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'asr.audio' has no attribute {name!r}")
    from asr.audio import files

    return getattr(files, name)
