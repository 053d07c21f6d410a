"""Augmentation: one clean utterance in, another one each time it is asked for.

Everything takes a numpy generator, so that the same seed gives the same data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from asr.audio.features import SAMPLE_RATE
from asr.training.sounds import MADE


@dataclass(frozen=True)
class AugmentOptions:
    """How much an utterance is changed each time it is heard."""

    speed: float = 0.12  # tempo and pitch by 1 +- this much (Ko et al. 2015)
    warp: float = 0.12  # formants by 1 +- this much (vocal tract length perturbation)
    room: float = 0.35  # probability of a simulated room
    noise: float = 0.6  # probability of background noise
    snr: tuple[float, float] = (3.0, 30.0)  # dB
    made: float = 0.25  # share of the backgrounds that are not recorded but made: music, hum, clicks, hiss
    colour: float = 0.4  # probability of a microphone's frequency response
    clip: float = 0.05  # probability of an overdriven input
    level: tuple[float, float] = (-45.0, -10.0)  # dBFS of the loud parts
    time_masks: int = 3  # SpecAugment (Park et al. 2019): masks a 4 s
    time_width: int = 20  # frames, at most
    band_masks: int = 2
    band_width: int = 20  # mel bands, at most


class Augmenter:
    """Waveform: speed, room, colour, noise, level. Frames: SpecAugment."""

    def __init__(self, options: AugmentOptions, noises: list[np.ndarray]):
        self.options, self._noises = options, noises

    def waveform(self, utterances: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """One or more utterances, one after the other with pauses between -> samples (n,)."""
        o, parts = self.options, [_pause(rng, 0.4)]
        for samples in utterances:
            bent = speed(samples, rng.uniform(1 - o.speed, 1 + o.speed))
            parts += [bent * rng.uniform(0.5, 1.0), _pause(rng, 0.8)]
        x = np.concatenate(parts)
        if rng.random() < o.room:
            x = room(x, rng)
        if rng.random() < o.colour:
            x = colour(x, rng)
        loud = loudness(x)
        if self._noises and rng.random() < o.noise:
            x = x + self._noise(len(x), rng) * loud * 10 ** (-rng.uniform(*o.snr) / 20)
        x = x * (10 ** (rng.uniform(*o.level) / 20) / max(loud, 1e-5))
        if rng.random() < o.clip:
            limit = np.abs(x).max() * rng.uniform(0.2, 0.8)
            x = np.clip(x, -limit, limit)
        return np.round(np.clip(x, -1, 1) * 32767).astype(np.float32) / 32768

    def background(self, seconds: float, rng: np.random.Generator) -> np.ndarray:
        """Samples (n,) of noise alone, for examples in which nothing is said."""
        n = int(seconds * SAMPLE_RATE)
        if not self._noises or rng.random() < 0.2:
            return rng.normal(0, 10 ** rng.uniform(-6, -2), n).astype(np.float32)
        return np.clip(self._noise(n, rng) * 10 ** (rng.uniform(-60, -10) / 20), -1, 1)

    def _noise(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n samples of one noise at a loudness of 1; recorded ones are played slower or faster."""
        if rng.random() < self.options.made:
            piece = MADE[str(rng.choice(list(MADE)))](rng, n).astype(np.float32)
        else:
            noise, factor = self._noises[rng.integers(len(self._noises))], rng.uniform(0.7, 1.4)
            start = rng.integers(max(1, len(noise) - int(n * factor)))
            piece = np.resize(speed(noise[start : start + int(n * factor) + 1], factor), n)
        return piece / max(loudness(piece), 1e-4)

    def frames(self, frames: np.ndarray, fill: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """SpecAugment on (T, n_mels); masked values become ``fill`` (n_mels,), the mean."""
        o, t = self.options, len(frames)
        for _ in range(rng.integers(0, 1 + round(o.time_masks * t / 400))):
            width = int(rng.integers(1, o.time_width + 1))
            start = rng.integers(max(1, t - width))
            frames[start : start + width] = fill
        for _ in range(rng.integers(0, o.band_masks + 1)):
            width = int(rng.integers(1, o.band_width + 1))
            start = rng.integers(max(1, frames.shape[1] - width + 1))
            frames[:, start : start + width] = fill[start : start + width]
        return frames


def speed(x: np.ndarray, factor: float) -> np.ndarray:
    """Samples (n,) -> (n / factor,): tempo, pitch and formants move together (Ko et al. 2015)."""
    return soxr.resample(x, SAMPLE_RATE * factor, SAMPLE_RATE, quality="QQ")


def room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples (n,) in a simulated room: decaying noise after a direct path, 0.1 to 0.7 s of reverberation."""
    rt60 = rng.uniform(0.1, 0.7)  # seconds
    n = int(rt60 * SAMPLE_RATE * 0.8)
    t = np.arange(n) / SAMPLE_RATE
    tail = rng.standard_normal(n) * 10 ** (-3 * t / rt60)
    tail[: rng.integers(16, 160)] = 0  # the first reflection comes 1 to 10 ms after the sound itself
    tail *= 10 ** (-rng.uniform(0, 15) / 20) / max(np.sqrt((tail**2).sum()), 1e-9)
    response = np.concatenate([[1.0], tail[1:]]).astype(np.float32)
    size = -(-(len(x) + n) // 4096) * 4096  # of small factors, and hardly longer than needed
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)
    return wet[: len(x)].astype(np.float32)


def colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples (n,) by a microphone or line: a smooth random response, sometimes cut to a telephone's band."""
    size = 1 << (len(x) - 1).bit_length()
    hz = np.linspace(0, SAMPLE_RATE / 2, size // 2 + 1)
    gain = np.interp(hz, np.linspace(0, SAMPLE_RATE / 2, 9), rng.normal(0, 4, 9))  # dB
    if rng.random() < 0.3:
        gain = gain - 40 * (hz > rng.uniform(3_200, 7_000)) - 40 * (hz < rng.uniform(20, 300))
    response = (10 ** (gain / 20)).astype(np.float32)
    return np.fft.irfft(np.fft.rfft(x, size) * response, size)[: len(x)].astype(np.float32)


def _pause(rng: np.random.Generator, longest: float) -> np.ndarray:
    return np.zeros(int(rng.uniform(0, longest) * SAMPLE_RATE), np.float32)


def loudness(x: np.ndarray) -> float:
    """RMS (1: full scale) of the loudest half of 20 ms pieces of (n,): pauses don't count."""
    n = len(x) // 320 * 320
    if n == 0:
        return float(np.sqrt((x**2).mean())) if len(x) else 0.0
    power = np.sort((x[:n].reshape(-1, 320) ** 2).mean(1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))
