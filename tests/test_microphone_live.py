"""The microphone on real PortAudio, ALSA and PulseAudio: the signal that is played is the signal that is heard."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soxr
from pulse import sound_server  # noqa: F401
from scipy.signal import correlate

from asr.audio.microphone import Microphone, MicrophoneError, MicrophoneOptions, devices

PULSE = MicrophoneOptions("pulse")


def signal_of(seconds: float) -> np.ndarray:
    """Noise below 3 kHz: no resampler cuts any of it."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * 6_000))
    return (0.1 * soxr.resample(noise, 6_000, 16_000)).astype(np.float32)


def where(played: np.ndarray, heard: np.ndarray) -> tuple[int, float]:
    """The sample at which ``played`` begins in ``heard``, and how alike the two are there (1: but for loudness)."""
    at = int(np.argmax(correlate(heard, played, "valid")))
    return at, float(np.corrcoef(played, heard[at : at + len(played)])[0, 1])


def hear(microphone: Microphone, seconds: float) -> np.ndarray:
    heard = []
    while sum(map(len, heard)) < seconds * 16_000:
        heard.append(next(microphone))
    return np.concatenate(heard)


def hear_all_of(player: subprocess.Popen, microphone: Microphone) -> np.ndarray:
    heard = []
    while player.poll() is None:
        heard.append(next(microphone))
    return np.concatenate([*heard, hear(microphone, 0.5)])


def test_the_server_is_an_input_and_the_default(pulse):
    names = {d.name: d for d in devices()}
    assert "pulse" in names and names["default"].default


def test_what_is_played_is_what_is_heard(pulse):
    played, said = signal_of(4), []
    with Microphone(PULSE, said.append) as microphone:
        hear(microphone, 0.5)
        heard = hear_all_of(pulse.play(played), microphone)
        assert microphone.device.rate != 16_000  # it was resampled
        assert microphone.dropped == 0 == microphone.overflows and said == []
    (_, whole), (first, alike), (last, _) = (where(p, heard) for p in (played, played[:16_000], played[-16_000:]))
    assert whole > 0.99 and alike > 0.99
    assert abs(last - first - (len(played) - 16_000)) <= 2  # not a sample lost or added on the way


def test_what_a_late_reader_loses_is_counted(pulse):
    said = []
    with Microphone(MicrophoneOptions("pulse", block=0.1, queue=0.5), said.append) as microphone:
        hear(microphone, 0.5)
        began = time.monotonic()
        time.sleep(2)
        heard = len(next(microphone)) / 16_000
        microphone.stop()
        heard += sum(len(block) for block in microphone) / 16_000
        assert 1.2 < microphone.dropped
        assert heard + microphone.dropped == pytest.approx(time.monotonic() - began, abs=0.6)
    assert said and "s of sound dropped so far" in said[0]


@pytest.mark.parametrize("away, back", [("unplug", "plug"), ("stop", "start")])
def test_a_device_is_taken_away_and_given_back(pulse, away, back):
    played, said = signal_of(2), []
    with Microphone(PULSE, said.append) as microphone:
        before = hear(microphone, 0.5)
        began = time.monotonic()
        getattr(pulse, away)()
        gone = hear(microphone, 1)
        assert said == ["microphone 'pulse' has disappeared: waiting for it"]
        getattr(pulse, back)()
        while len(said) < 2:
            gone = np.concatenate([gone, next(microphone)])
        assert said[1] == "going on with microphone 'pulse'" and not gone.any() and len(before)
        assert len(gone) / 16_000 == pytest.approx(time.monotonic() - began, abs=0.5)  # the clock went on
        assert where(played, hear_all_of(pulse.play(played), microphone))[1] > 0.99


def test_a_device_that_cannot_be_opened(pulse):
    pulse.unplug()
    with pytest.raises(MicrophoneError, match="'pulse' cannot be opened"):
        Microphone(PULSE)


def test_without_a_server_there_is_no_device(pulse):
    pulse.stop()
    program = "from asr.audio.microphone import *\ntry: devices()\nexcept MicrophoneError as error: print(error)"
    result = subprocess.run([sys.executable, "-c", program], env=pulse.environment(), capture_output=True, text=True)
    assert result.stdout.startswith("no microphone found") and result.stderr == ""


def test_a_program_is_stopped_by_a_signal_and_keeps_what_was_said(pulse):
    program = """
import signal, sys
from asr.audio.microphone import Microphone
with Microphone() as microphone:
    signal.signal(signal.SIGINT, lambda *_: microphone.stop())
    next(microphone)
    print("listening", flush=True)
    print(sum(map(len, microphone)))
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=pulse.environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "listening\n"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        samples = process.communicate(timeout=30)[0]
    assert process.returncode == 0 and int(samples) > 12_000
