"""Voices: text -> speech by the synthesisers that are installed, each call another speaker.

The room serves both trainings: sentences for the recogniser, phrases for a wake word.
Every engine varies what it can (blends of styles, formants, pitch, pace), so that a
corpus made with it does not sound like one person.
"""

from __future__ import annotations

from collections.abc import Sequence

from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from wakeword.voices.neural import Hibari, Kokoro, Piper, Voice
from wakeword.voices.programs import Espeak, Festival, Flite

__all__ = ["SAMPLE_RATE", "VOICES", "Voice", "VoiceError", "chosen", "listing"]

VOICES: tuple[type[Voice], ...] = (Kokoro, Hibari, Piper, Flite, Festival, Espeak)


class VoiceError(Error, ValueError):
    """No synthesiser can speak; one sentence says what to install."""


def chosen(names: Sequence[str] = ()) -> tuple[str, ...]:
    """The names given, if all these voices are installed; without names, all that are. Raises VoiceError."""
    by_name = {voice.name: voice for voice in VOICES}
    for name in names:
        if name not in by_name:
            raise VoiceError(f'there is no voice "{name}": choose from {", ".join(by_name)}')
        if not by_name[name].installed():
            raise VoiceError(f"the voice {name} is not installed; to get it: {by_name[name].how_to_get}")
    found = tuple(names) or tuple(voice.name for voice in VOICES if voice.installed())
    if not found:
        raise VoiceError(f"no voice is installed: {Flite.how_to_get} espeak-ng gives two, `wakeword voices` lists more")
    return found


def listing() -> str:
    """A line for each voice: its name, fast or slow, and that it is installed or how to get it."""
    states = [(voice, "installed" if voice.installed() else f"missing: {voice.how_to_get}") for voice in VOICES]
    return "\n".join(f"{voice.name:10}{voice.speed:6}{state}" for voice, state in states)
