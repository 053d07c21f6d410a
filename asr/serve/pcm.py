"""Bytes of a live client -> samples at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from asr.audio.features import SAMPLE_RATE

ENCODINGS = {  # name: type of a sample, and its full scale
    "s16le": ("<i2", 32_768.0),
    "s32le": ("<i4", 2_147_483_648.0),
    "f32le": ("<f4", 1.0),
}
MAX_AMPLITUDE = 100.0  # of full scale: what is beyond is no sound, and must not become infinite on its way


class FormatError(ValueError):
    """One sentence: what is wrong with a client's audio format."""


@dataclass(frozen=True)
class PcmFormat:
    encoding: str = "s16le"
    rate: int = SAMPLE_RATE  # Hz
    channels: int = 1  # interleaved; their mean is heard

    def __post_init__(self):
        if not (isinstance(self.encoding, str) and self.encoding in ENCODINGS):
            raise FormatError(f"the encoding must be one of {', '.join(ENCODINGS)}")
        if type(self.rate) is not int or not 8_000 <= self.rate <= 192_000:
            raise FormatError("the rate must be a whole number of 8000 to 192000 Hz")
        if type(self.channels) is not int or not 1 <= self.channels <= 8:
            raise FormatError("the number of channels must be 1 to 8")


class PcmReader:
    """Feed bytes, cut anywhere; flush at the end."""

    def __init__(self, format: PcmFormat):
        self._type, self._scale = ENCODINGS[format.encoding]
        self._channels = format.channels
        self._frame = np.dtype(self._type).itemsize * format.channels  # bytes
        self._rest = b""
        self._resampler = None
        if format.rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(format.rate, SAMPLE_RATE, 1, dtype="float32")

    def feed(self, data: bytes, last: bool = False) -> np.ndarray:
        """The samples (n,) float32 at 16 kHz that are now complete."""
        data = self._rest + data
        whole = len(data) // self._frame * self._frame
        data, self._rest = data[:whole], data[whole:]
        frames = np.frombuffer(data, self._type).reshape(-1, self._channels)
        frames = np.nan_to_num(frames.astype(np.float32) / np.float32(self._scale), nan=0.0)
        samples = np.clip(frames, -MAX_AMPLITUDE, MAX_AMPLITUDE).mean(1)
        return self._resampler.resample_chunk(samples, last=last) if self._resampler else samples

    def flush(self) -> np.ndarray:
        """What the resampler still holds."""
        return self.feed(b"", last=True)
