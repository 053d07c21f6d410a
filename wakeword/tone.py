"""A short tone that says: the word was heard."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.audio.microphone import quiet

PITCH, LENGTH, LEVEL = 880.0, 0.12, 0.2  # Hz, s, of full scale
BUFFER = 0.1  # s between us and the loudspeaker


def tone() -> np.ndarray:
    """(n,) float32; swells and fades, so that it does not click."""
    seconds = np.arange(round(LENGTH * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * PITCH * seconds) * np.sin(np.pi * seconds / LENGTH)
    return (LEVEL * wave).astype(np.float32)


def beep(say: Callable[[str], None]) -> None:
    """Play the tone and return when it is over; without an output to play it on, a line says so.

    The output is open only so long, has no thread of its own, and is closed without asking whether it has played
    everything: each of these can keep a program from ending.
    """
    import sounddevice

    try:
        with quiet():
            stream = sounddevice.OutputStream(SAMPLE_RATE, channels=1, dtype="float32", latency=BUFFER)
            try:
                stream.start()
                _play(stream, tone())
            finally:
                stream.close()
    except sounddevice.PortAudioError as error:
        say(f"no tone: {error}")


def _play(stream, samples: np.ndarray) -> None:
    """As the stream takes them, and until they have been heard; longer than that nothing is waited for."""
    until = time.monotonic() + LENGTH + 2 * BUFFER
    while (left := until - time.monotonic()) > 0:
        if count := min(stream.write_available, len(samples)):
            stream.write(samples[:count])
            samples = samples[count:]
        time.sleep(min(left, 0.01))
