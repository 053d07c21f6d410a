"""Sound in: files and microphones to 16 kHz mono blocks, blocks to log-mel frames, and which of them are speech."""

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
