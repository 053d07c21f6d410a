"""Sounds that are not speech, never the same twice: backgrounds beside recorded noise, made in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asr.audio.features import SAMPLE_RATE


def coloured_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise whose power falls with f^0 (white) to f^-2 (brown), at times with a slow swell."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= np.maximum(np.arange(len(spectrum)), n // 800) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, n)
    if rng.random() < 0.3:
        swells = rng.uniform(0.05, 6) * np.arange(n) / SAMPLE_RATE + rng.random()
        noise *= 1 + 0.9 * np.sin(2 * np.pi * swells)
    return noise


def hum(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) of mains hum, motors and beeps: a steady tone with random harmonics."""
    base = rng.choice([50, 60, rng.uniform(40, 300), rng.uniform(300, 3000)])
    t, tone = np.arange(n) / SAMPLE_RATE, np.zeros(n)
    for k in range(1, rng.integers(2, 16)):
        if k * base < 7900:
            tone += rng.exponential(1 / k) * np.sin(2 * np.pi * (k * base * t + rng.random()))
    if rng.random() < 0.3:  # switched on and off
        tone *= np.repeat(rng.random(n // 4000 + 1) < 0.5, 4000)[:n]
    return tone


def clicks(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) of keys, knocks, ticks: short decaying bursts, at random or in time."""
    out = np.zeros(n)
    gap = int(SAMPLE_RATE * rng.uniform(0.1, 2))
    starts = np.arange(rng.integers(gap), n, gap) if rng.random() < 0.5 else rng.integers(0, n, 1 + n // gap)
    for start in starts:
        length = min(n - start, int(SAMPLE_RATE * rng.uniform(0.002, 0.15)))
        tone = np.sin(2 * np.pi * rng.uniform(100, 4000) / SAMPLE_RATE * np.arange(length))
        burst = rng.standard_normal(length) * rng.random() + tone * rng.random()
        out[start : start + length] += rng.uniform(0.2, 1) * burst * np.exp(-5 * np.arange(length) / length)
    return out


def music(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) of melody, chords and drums on a random scale, in random timbres and tempo."""
    out, beat = np.zeros(n), int(SAMPLE_RATE * rng.uniform(0.15, 0.6))
    scale = np.cumsum(rng.choice([1, 2, 2, 3], 24)) + rng.integers(28, 44)  # MIDI note numbers
    parts = [(rng.integers(6, 24), 1, rng.uniform(0.4, 1.5)), (rng.integers(0, 8), 3, rng.uniform(1, 4))]
    for low, voices, beats in parts[: rng.integers(1, 3)]:
        timbre, note, start = _timbre(rng), int(low), 0
        attack, decay = rng.uniform(0.005, 0.15), rng.uniform(0.5, 6)
        vibrato = rng.choice([0, rng.uniform(0, 0.01)])
        while start < n:
            length = int(beat * beats * rng.choice([1, 1, 2, 4]))
            note = int(np.clip(note + rng.integers(-3, 4), 0, 19))
            for k in range(voices if rng.random() > 0.15 else 0):  # else a rest
                hz = 440 * 2 ** ((scale[note + 2 * k] - 69) / 12)
                add(out, start, _note(timbre, hz, length, attack, decay, vibrato))
            start += length
    if rng.random() < 0.5:
        level, noise = rng.uniform(0.2, 2), rng.standard_normal(beat)
        drum = noise * np.exp(-rng.uniform(5, 30) * np.arange(beat) / beat)
        for start in range(0, n, beat):
            if rng.random() < 0.7:
                add(out, start, level * rng.random() * drum)
    return out


def _timbre(rng: np.random.Generator) -> np.ndarray:
    """One period (256 points) of a tone with up to 12 random harmonics."""
    phase, k = np.arange(256) / 256, np.arange(1, rng.integers(2, 13))
    return (k ** -rng.uniform(0, 2) * rng.random(len(k))) @ np.sin(2 * np.pi * np.outer(k, phase))


def _note(timbre: np.ndarray, hz: float, length: int, attack: float, decay: float, vibrato: float) -> np.ndarray:
    t = np.arange(length) / SAMPLE_RATE
    cycles = hz * (t + vibrato * np.sin(2 * np.pi * 5.5 * t) / (2 * np.pi * 5.5))
    envelope = np.minimum(t / attack, 1) * np.exp(-decay * t) * np.minimum((t[-1] - t) / 0.01, 1)
    return timbre[(256 * cycles).astype(int) % 256] * envelope


def add(out: np.ndarray, start: int, part: np.ndarray) -> None:
    part = part[: len(out) - start]
    out[start : start + len(part)] += part


MADE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "coloured noise": coloured_noise,
    "hum": hum,
    "clicks": clicks,
    "music": music,
}
