"""The tone after the word: it is heard whole, and nothing about the output can keep a program from going on."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from pulse import sound_server  # noqa: F401
from scipy.signal import correlate

from asr.audio.microphone import Microphone, MicrophoneOptions
from wakeword import listen as tone


class Output:
    """An output stream that takes ``free`` samples a time."""

    def __init__(self, free: int):
        self.write_available, self.written, self.closed = free, 0, False

    def start(self):
        pass

    def write(self, samples):
        assert len(samples) <= self.write_available
        self.written += len(samples)

    def close(self):
        self.closed = True


def beep(output, said: list) -> None:
    def opened(*_, **__):
        if isinstance(output, Exception):
            raise output
        return output

    with patch.dict(sys.modules, sounddevice=SimpleNamespace(OutputStream=opened, PortAudioError=OSError)):
        tone.beep(said.append)


def test_all_of_it_is_written_as_the_output_takes_it():
    output, said = Output(500), []
    beep(output, said)
    assert output.written == len(tone.tone()) and output.closed and said == []


def test_an_output_that_takes_nothing_is_left_alone():
    output, began = Output(0), time.monotonic()
    beep(output, [])
    assert output.closed and time.monotonic() - began < 5


def test_no_output_is_told():
    beep(OSError("Error querying device -1"), said := [])
    assert said == ["no tone: Error querying device -1"]


def test_a_microphone_beside_hears_it(pulse):
    with Microphone(MicrophoneOptions("pulse"), print) as microphone:
        next(microphone)
        tone.beep(pytest.fail)
        heard = np.concatenate([next(microphone) for _ in range(12)])
    played = tone.tone()
    at = int(np.argmax(correlate(heard, played, "valid")))
    assert np.corrcoef(played, heard[at : at + len(played)])[0, 1] > 0.9


def test_programs_end_with_the_tone_in_the_air(pulse):
    """Ten times: opened, and closed while the tone is still on its way; PortAudio's own end comes on top."""
    program = """
import sounddevice, time
from asr.audio.microphone import Microphone
from wakeword.listen import beep
for number in range(10):
    with Microphone() as microphone:
        next(microphone)
        beep(print)
        time.sleep(0.02 * number)
    sounddevice._terminate()
    sounddevice._initialize()
"""
    environment = pulse.environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
