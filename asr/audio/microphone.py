"""Any live input -> blocks of 16 kHz mono, by PortAudio (sounddevice, imported when first needed)."""

from __future__ import annotations

import glob
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from asr.audio.features import BAD_SAMPLES, SAMPLE_RATE, AudioError, clean_samples
from asr.audio.quiet import quiet

_BLOCK_TIMEOUT_S = 0.1  # s to wait for a block before looking whether the device is still there
_RETRY_S = 1.0  # s between looks for a device that has gone
_REPORT_INTERVAL_S = 5.0  # s, at least, between two lines about lost audio
_MUTE_S = 3.0  # s of nothing but zeros: no open microphone is that quiet
_BUSY, _CHANNELS = -9985, -9998  # PortAudio: device unavailable, invalid number of channels
_NO_SAMPLES = np.zeros(0, np.float32)
_FORBIDDEN = "no permission to use the microphone: allow it in the privacy settings, or on Linux join the group audio"
_log = logging.getLogger(__name__)


class MicrophoneError(AudioError):
    """There is no live input; the message is one sentence for the user."""


@dataclass(frozen=True)
class MicrophoneOptions:
    """Which input is opened, and what happens when its reader is late or the device goes away."""

    device: str | int | None = None  # number, or part of the name in any case; None is the system's default
    block: float = 0.08  # s of audio that the device hands over at a time
    queue: float = 60.0  # s of audio kept for a reader who is late; what comes on top of that is dropped and counted
    wait: bool = True  # for a device that has disappeared; False: MicrophoneError
    stall: float = 5.0  # s without a block after which a device counts as disappeared

    def __post_init__(self):
        if not 0.01 <= self.block <= 1 or self.queue < self.block or self.stall <= 0:
            raise MicrophoneError("a microphone's block is 0.01 to 1 s, its queue no shorter, its stall above 0 s")


@dataclass(frozen=True)
class Device:
    number: int  # PortAudio's; may change when devices come and go
    name: str
    api: str  # the sound system that it was found by
    channels: int
    rate: float  # Hz, the one that it prefers
    default: bool  # what the system records from when nothing else is asked for

    def __str__(self) -> str:
        default = ", default" if self.default else ""
        return f"{self.number}: {self.name} ({self.api}, {self.channels} channels, {self.rate:g} Hz){default}"


def devices() -> list[Device]:
    """All inputs, in PortAudio's order. Raises MicrophoneError where there is none."""
    sd = _sounddevice()
    default, apis = None, sd.query_hostapis()
    with suppress(sd.PortAudioError):  # there need not be one
        default = sd.query_devices(kind="input")["index"]
    found = [
        Device(i, d["name"], apis[d["hostapi"]]["name"], n, d["default_samplerate"], i == default)
        for i, d in enumerate(sd.query_devices())
        if (n := d["max_input_channels"])
    ]
    if not found:
        raise MicrophoneError(_FORBIDDEN if _forbidden() else "no microphone found: connect one or start its server")
    return found


def choose(wanted: str | int | None, found: Sequence[Device]) -> Device:
    """The device of that number, of that name, or else the only one with that in its name. Raises MicrophoneError."""
    if wanted is None:
        return next((d for d in found if d.default), found[0])
    text = str(wanted).strip().lower()
    matches = [d for d in found if d.name.lower() == text] or [d for d in found if text in d.name.lower()]
    if text.isdecimal():
        matches = [d for d in found if d.number == int(text)]
    usual = [d for d in matches if d.api == choose(None, found).api]
    matches = usual if len(usual) == 1 else matches  # Windows lists a device once for each of its sound systems
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{d.number}: {d.name}" for d in matches or found)
    fault = f"{wanted!r} fits several microphones" if matches else f"no microphone {wanted!r}"
    raise MicrophoneError(f"{fault}: choose one of {names}")


def _same_device(wanted: str | int | None, before: Device, found: Sequence[Device]) -> Device:
    """The same device, under its new number; else another that was asked for, unless that was by number."""
    same = sorted((d for d in found if d.name == before.name), key=lambda d: d.number != before.number)
    return same[0] if same else choose(before.name if str(wanted).strip().isdecimal() else wanted, found)


class Microphone(AbstractContextManager, Iterator[np.ndarray]):
    """An open input: an iterator of (n,) float32 blocks at 16 kHz, the mean of the channels.

    A loop that is left can be gone on with by another, nothing is lost between them. While a device that has
    disappeared is waited for, blocks of zeros come in real time: the stream's clock goes on and a sentence can end.
    To find the device again PortAudio is restarted, which ends all else that this process plays or records by it.
    """

    def __init__(self, options: MicrophoneOptions = MicrophoneOptions(), say: Callable[[str], None] = _log.warning):
        """Raises MicrophoneError; ``say`` gets a sentence about each loss, and when the device goes and comes."""
        self.dropped = 0.0  # s of audio lost because the reader was late
        self.overflows = 0  # times that audio, nobody knows how much, was lost before it came here
        self.bad_samples = 0  # that were NaN, infinite or absurdly large, and became silence
        self._options, self._say = options, say
        self._queue: SimpleQueue[np.ndarray] = SimpleQueue()
        self._stopping = self._ended = False
        self._away: float | None = None  # while the device is: the time up to which zeros have been given
        self._reported, self._report_after = (0.0, 0, 0), 0.0
        self.device: Device = choose(options.device, devices())  # the one in use, or waited for
        self._open()

    def __exit__(self, *_: object) -> None:
        """Stop at once; what has not been read is gone."""
        self._ended = True
        self._hang_up()
        self._report_losses()

    def stop(self) -> None:
        """End the iteration after what has been heard so far; for other threads and signal handlers too."""
        self._stopping = True

    def __next__(self) -> np.ndarray:
        while not self._ended:
            if self._stopping:
                self._hang_up()
            samples = self._next()
            if self._ended or time.monotonic() >= self._report_after:
                self._report_losses()
            if len(samples):
                return samples
        raise StopIteration

    def _next(self) -> np.ndarray:
        """What the next block adds, which may be nothing."""
        with suppress(Empty):
            return self._resampled(self._queue.get(timeout=_BLOCK_TIMEOUT_S))
        if self._stopping and not self._stream:
            self._ended = True
            return _NO_SAMPLES if self._away is not None else self._resampler.resample_chunk(_NO_SAMPLES, last=True)
        if self._stream and self._stream.active and time.monotonic() - self._heard < self._options.stall:
            return self._absence()
        if self._away is not None:
            if time.monotonic() >= self._look_after:
                self._look()
            return self._absence()
        if self._stream:  # its last block may have come just now
            self._hang_up()
            return self._next()
        return self._disappeared()

    def _open(self) -> None:
        import soxr  # who opens no microphone does without

        self._stream = _started(self.device, self._options.block, self._callback)
        self._resampler = soxr.ResampleStream(self.device.rate, SAMPLE_RATE, 1, dtype="float32")
        self._heard = time.monotonic()
        self._zeros = 0.0  # s of them since the device was opened; -inf once there was something else

    def _hang_up(self) -> None:
        if self._stream:
            self._stream.close()
        self._stream = None

    def _callback(self, data: np.ndarray, frames: int, _: object, status) -> None:
        """PortAudio's thread: data (frames, channels), status: its CallbackFlags; must never wait."""
        self._heard = time.monotonic()
        self.overflows += bool(status.input_overflow)
        samples, bad = clean_samples(data)
        self.bad_samples += bad
        if self._queue.qsize() < self._options.queue / self._options.block:
            self._queue.put(samples.mean(1))
        else:
            self.dropped += frames / self.device.rate

    def _resampled(self, samples: np.ndarray) -> np.ndarray:
        if self._away is not None:
            self._away = None
            self._say(f"going on with microphone {self.device.name!r}")
        self._zeros = -math.inf if samples.any() else self._zeros + len(samples) / self.device.rate
        if self._zeros >= _MUTE_S:
            self._zeros = -math.inf
            self._say(f"microphone {self.device.name!r} gives only zeros: it is muted, or this program may not use it")
        return self._resampler.resample_chunk(samples)

    def _disappeared(self) -> np.ndarray:
        self._away, self._look_after = self._heard, 0.0
        if not self._options.wait:
            self._ended = True
            raise MicrophoneError(f"microphone {self.device.name!r} has disappeared: connect it and start again")
        self._say(f"microphone {self.device.name!r} has disappeared: waiting for it")
        return self._resampler.resample_chunk(_NO_SAMPLES, last=True)  # what it held back

    def _look(self) -> None:
        """Open the device that has gone, if it is back."""
        self._hang_up()
        sd = _sounddevice()
        with suppress(sd.PortAudioError):  # not running, after a start that failed
            sd._terminate()
        with suppress(sd.PortAudioError, MicrophoneError):
            sd._initialize()  # sees what has been connected since the last time
            self.device = _same_device(self._options.device, self.device, devices())
            self._open()
        self._look_after = time.monotonic() + _RETRY_S

    def _absence(self) -> np.ndarray:
        """Zeros up to now for a device that is away."""
        if self._away is None:
            return _NO_SAMPLES
        zeros = np.zeros(round((time.monotonic() - self._away) * SAMPLE_RATE), np.float32)
        self._away += len(zeros) / SAMPLE_RATE
        return zeros

    def _report_losses(self) -> None:
        reported, self._reported = self._reported, (self.dropped, self.overflows, self.bad_samples)
        if self._reported != reported:
            self._report_after = time.monotonic() + _REPORT_INTERVAL_S
        if self.dropped > reported[0]:
            self._say(f"{self.dropped:.1f} s of sound dropped so far: it is not taken in time")
        if self.overflows > reported[1]:
            self._say(f"sound lost {self.overflows} times so far by the device or its driver")
        if self.bad_samples > reported[2]:
            self._say(f"microphone {self.device.name!r}: {self.bad_samples} {BAD_SAMPLES}")


def _sounddevice():
    try:
        import sounddevice
    except ImportError:
        raise MicrophoneError("a microphone needs the package sounddevice: pip install 'asr[microphone]'") from None
    except OSError:
        raise MicrophoneError("a microphone needs PortAudio: install it (Debian: apt install libportaudio2)") from None
    return sounddevice


def _started(device: Device, block: float, callback: Callable):
    """PortAudio's stream: of one channel, or of all where the device can't do that."""
    sd = _sounddevice()
    for channels in sorted({1, device.channels}):
        try:
            with quiet():
                return _stream(sd, device, channels, block, callback)
        except sd.PortAudioError as error:
            if channels == device.channels or error.args[1:2] != (_CHANNELS,):
                raise _explained(device, error) from None


def _stream(sd, device: Device, channels: int, block: float, callback: Callable):
    latency = 4 * block  # of the buffer before us, for when the machine is busy; full blocks still come at once
    size = round(block * device.rate)
    stream = sd.InputStream(device.rate, size, device.number, channels, "float32", latency, callback=callback)
    try:
        stream.start()
    except sd.PortAudioError:
        stream.close()
        raise
    return stream


def _explained(device: Device, error: Exception) -> MicrophoneError:
    text = str(error)
    if error.args[1:2] == (_BUSY,) or "busy" in text.lower():
        return MicrophoneError(f"microphone {device.name!r} is busy: end the program that uses it, or choose another")
    if "denied" in text.lower() or _forbidden():
        return MicrophoneError(_FORBIDDEN)
    return MicrophoneError(f"microphone {device.name!r} cannot be opened: {text}")


def _forbidden() -> bool:
    """Linux: there are sound devices to record from, but not for this user."""
    readable = [os.access(node, os.R_OK) for node in glob.glob("/dev/snd/pcm*c")]
    return readable != [] and not any(readable)
