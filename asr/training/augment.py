"""Augmentation: one clean utterance in, another one each time it is asked for.

Everything takes a numpy generator, so that the same seed gives the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr

from asr.audio.features import SAMPLE_RATE
from asr.training.sounds import MADE

QUIET = 1e-3  # loudness below which speech counts as this loud: silence is not raised to a shout


@dataclass(frozen=True)
class SoundOptions:
    """What happens to speech between a mouth and the samples of a file: how likely it is, and how much."""

    speed: float = 0.12  # tempo and pitch by 1 +- this much (Ko et al. 2015)
    room: float = 0.35  # probability of a simulated room
    direct: tuple[float, float] = (0.0, 15.0)  # dB of the direct sound over the reverberation: some -5 at 3 m
    noise: float = 0.6  # probability of background noise
    snr: tuple[float, float] = (3.0, 30.0)  # dB of the speech over the noise
    made: float = 0.25  # share of the backgrounds that are not recorded but made: music, hum, clicks, hiss
    talker: float = 0.0  # probability of somebody else who talks all the time
    talker_snr: tuple[float, float] = (-5.0, 20.0)  # dB of the speech over this talker
    babble: float = 0.0  # probability of other people talking in the background, where there is no such talker
    babble_snr: tuple[float, float] = (5.0, 25.0)  # dB of the speech over the talk
    colour: float = 0.4  # probability of a microphone's frequency response
    telephone: float = 0.3  # share of these that are cut to a telephone's band, or to a part of it
    level: tuple[float, float] = (-45.0, -10.0)  # dBFS of the loud parts of the speech
    clip: float = 0.05  # probability of an overdriven input
    hiss: float = 0.0  # probability of a microphone's own noise; else pauses may be digital silence


@dataclass(frozen=True)
class AugmentOptions(SoundOptions):
    """How much an utterance is changed each time it is heard."""

    warp: float = 0.12  # formants by 1 +- this much (vocal tract length perturbation)
    time_masks: int = 3  # SpecAugment (Park et al. 2019): masks a 4 s
    time_width: int = 20  # frames, at most
    band_masks: int = 2
    band_width: int = 20  # mel bands, at most


# speech (n,) in its room; what sounds beside it, (n,) at a loudness of 1, and how many dB of the speech over it
Scene = tuple[np.ndarray, list[tuple[np.ndarray, tuple[float, float]]]]


class Surroundings:
    """Room, background, microphone and level, in the order in which sound meets them."""

    def __init__(self, options: SoundOptions, noises: Sequence[np.ndarray], talk: Sequence[np.ndarray] = ()):
        """noises, talk: recordings (n,) of backgrounds and of other people; without noises all are made."""
        self.options, self._noises, self._talk = options, noises, talk

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Dry speech (n,) -> (n,) float32 in -1..1."""
        return self.recorded(self.scene(x, rng), rng)

    def scene(self, x: np.ndarray, rng: np.random.Generator) -> Scene:
        """Dry speech (n,) -> what is to be heard at one place."""
        o = self.options
        if rng.random() < o.room:
            x = room(x, rng, o.direct)
        beside, draw = [], rng.random() if len(self._talk) else 1.0
        if draw < o.talker:
            beside.append((self.talker(len(x), rng), o.talker_snr))
        elif draw < o.talker + o.babble:
            beside.append((self.babble(len(x), rng), o.babble_snr))
        return x, [*beside, (self.noise(len(x), rng), o.snr)] if rng.random() < o.noise else beside

    def recorded(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """A scene as one of many microphones there hears it: (n,) float32 in -1..1."""
        o, (x, beside) = self.options, scene
        loud = max(loudness(x), QUIET)
        for sound, snr in beside:
            x = x + sound * loud * _gain(snr, rng, -1)
        if rng.random() < o.colour:
            x = colour(x, rng, o.telephone)
        x = x * (_gain(o.level, rng) / loud)
        if rng.random() < o.clip:
            limit = np.abs(x).max(initial=0) * rng.uniform(0.15, 0.8)
            x = np.clip(x, -limit, limit)
        if rng.random() < o.hiss:
            x = x + rng.standard_normal(len(x), np.float32) * _gain((-95, -60), rng)
        return np.clip(x, -1, 1).astype(np.float32)

    def noise(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n samples of one background at a loudness of 1; recorded ones are played slower or faster."""
        if not len(self._noises) or rng.random() < self.options.made:
            piece = MADE[str(rng.choice(list(MADE)))](rng, n).astype(np.float32)
        else:
            factor = rng.uniform(0.75, 1.35)
            piece = np.resize(speed(_looped(_any(self._noises, rng), int(n * factor) + 1, rng), factor), n)
        return piece / max(loudness(piece), 1e-4)

    def talker(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n samples of one other person, as near as the speaker or elsewhere in the room, at a loudness of 1."""
        talk = _looped(_any(self._talk, rng), n, rng)
        if rng.random() < 0.5:
            talk = room(talk, rng)
        return talk / max(loudness(talk), 1e-4)

    def babble(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n samples of one to four other people talking at once, in a room, at a loudness of 1."""
        voices = (_looped(_any(self._talk, rng), n, rng) for _ in range(rng.integers(1, 5)))
        talk = room(sum(voices, np.zeros(n, np.float32)), rng)
        return talk / max(loudness(talk), 1e-4)


class Augmenter(Surroundings):
    """Utterances of the acoustic model. Waveform: speed and surroundings. Frames: SpecAugment."""

    options: AugmentOptions

    def __init__(self, options: AugmentOptions, noises: Sequence[np.ndarray], talk: Sequence[np.ndarray] = ()):
        super().__init__(options if len(noises) else replace(options, noise=0.0), noises, talk)

    def waveform(self, utterances: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """One or more utterances with pauses between -> samples (n,), rounded as a 16-bit file has them."""
        return self.heard(self.spoken(utterances, rng)[0], rng)

    def spoken(
        self, utterances: list[np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, list[tuple[int, float]]]:
        """One or more utterances with pauses between -> samples (n,); where each begins in them, and its speed."""
        most, parts, placed = self.options.speed, [_pause(rng, 0.4)], []
        for samples in utterances:
            factor = rng.uniform(1 - most, 1 + most)
            placed.append((sum(map(len, parts)), factor))
            parts += [speed(samples, factor) * rng.uniform(0.5, 1.0), _pause(rng, 0.8)]
        return np.concatenate(parts), placed

    def heard(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Samples (n,) in surroundings, rounded as a 16-bit file has them."""
        return np.round(self(x, rng) * 32767).astype(np.float32) / 32768

    def background(self, seconds: float, rng: np.random.Generator) -> np.ndarray:
        """Samples (n,) of noise alone, for examples in which nothing is said."""
        n = int(seconds * SAMPLE_RATE)
        if not len(self._noises) or rng.random() < 0.2:
            return rng.normal(0, 10 ** rng.uniform(-6, -2), n).astype(np.float32)
        return np.clip(self.noise(n, rng) * _gain((-60, -10), rng), -1, 1)

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


def room(x: np.ndarray, rng: np.random.Generator, direct: tuple[float, float] = SoundOptions.direct) -> np.ndarray:
    """Samples (n,) in a simulated room: decaying noise after a direct path, 0.1 to 0.7 s of reverberation."""
    rt60 = rng.uniform(0.1, 0.7)  # seconds
    n = int(rt60 * SAMPLE_RATE * 0.8)
    t = np.arange(n) / SAMPLE_RATE
    tail = rng.standard_normal(n) * 10 ** (-3 * t / rt60)
    tail[: rng.integers(16, 160)] = 0  # the first reflection comes 1 to 10 ms after the sound itself
    tail *= _gain(direct, rng, -1) / max(np.sqrt((tail**2).sum()), 1e-9)
    response = np.concatenate([[1.0], tail[1:]]).astype(np.float32)
    size = -(-(len(x) + n) // 4096) * 4096  # of small factors, and hardly longer than needed
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)
    return wet[: len(x)].astype(np.float32)


def colour(x: np.ndarray, rng: np.random.Generator, telephone: float = SoundOptions.telephone) -> np.ndarray:
    """Samples (n,) by a microphone or line: a smooth random response, sometimes cut to a telephone's band."""
    size = 1 << (len(x) - 1).bit_length()
    gain = 10 ** (response(np.linspace(0, SAMPLE_RATE / 2, size // 2 + 1), rng, telephone) / 20)
    return np.fft.irfft(np.fft.rfft(x, size) * gain.astype(np.float32), size)[: len(x)].astype(np.float32)


def telephone(x: np.ndarray) -> np.ndarray:
    """Samples (n,) -> (n,) by G.711: a telephone's band, 8,000 samples a second of 8 bits."""
    spectrum, hz = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
    narrow = soxr.resample(np.fft.irfft(spectrum * ((hz > 300) & (hz < 3_400)), len(x)), SAMPLE_RATE, 8_000)
    companded = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log(256)
    companded = np.round(companded * 127) / 127
    heard = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
    return np.resize(soxr.resample(heard, 8_000, SAMPLE_RATE), len(x))


def response(hz: np.ndarray, rng: np.random.Generator, telephone: float = SoundOptions.telephone) -> np.ndarray:
    """How loud a microphone or line makes each of the frequencies (n,), in dB: smooth and random."""
    gain = np.interp(hz, np.linspace(0, SAMPLE_RATE / 2, 9), rng.normal(0, 4, 9))
    if rng.random() < telephone:
        gain = gain - 40 * (hz > rng.uniform(3_200, 7_000)) - 40 * (hz < rng.uniform(20, 300))
    return gain


def _gain(decibels: tuple[float, float], rng: np.random.Generator, sign: int = 1) -> float:
    """A random factor of so many decibels."""
    return 10 ** (sign * rng.uniform(*decibels) / 20)


def _any(clips: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return clips[int(rng.integers(len(clips)))]


def _looped(clip: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n samples from anywhere in a clip, again and again where it is shorter."""
    start = rng.integers(max(1, len(clip) - n))
    return np.resize(clip[start : start + n], n).astype(np.float32)


def _pause(rng: np.random.Generator, longest: float) -> np.ndarray:
    return np.zeros(int(rng.uniform(0, longest) * SAMPLE_RATE), np.float32)


def loudness(x: np.ndarray) -> float:
    """RMS (1: full scale) of the loudest half of 20 ms pieces of (n,): pauses don't count."""
    n = len(x) // 320 * 320
    if n == 0:
        return float(np.sqrt((x**2).mean())) if len(x) else 0.0
    power = np.sort((x[:n].reshape(-1, 320) ** 2).mean(1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))
