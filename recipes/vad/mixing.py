"""Speech laid over made and recorded backgrounds, with a label each 40 ms: what the detector learns from."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.audio.vad import STEP
from asr.training.augment import telephone
from asr.training.sounds import MADE, add
from wakeword.evaluate.conditions import in_16_bits

HOP = 160  # samples: 10 ms
STEP_SAMPLES = HOP * STEP
UNSURE = -1  # label of a step that neither training nor evaluation counts

# Noise files that training never hears: ESC-10's fifth fold, and five of the 25 long recordings.
HELD_OUT = ("-5-", "amb-stream", "amb-thunderstorm", "sounds-coffee-shop", "sounds-train", "running_tap")


def noise_files(data: Path, held_out: bool) -> list[Path]:
    """The recordings of ``data``/noise.jsonl that training hears, or those kept for testing."""
    names = [json.loads(line)["audio_filepath"] for line in (data / "noise.jsonl").open(encoding="utf-8")]
    return [data / name for name in names if any(part in name for part in HELD_OUT) == held_out]


def read(path: Path) -> np.ndarray:
    """One 16 kHz mono file -> (n,) float32. Raises ValueError at another rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise ValueError(f"{path} has {rate} Hz; this recipe reads 16 kHz files only")
    return samples.mean(1)


# --- labels --------------------------------------------------------------------------------------


def speech_steps(samples: np.ndarray) -> np.ndarray:
    """Label each 40 ms of one clean utterance from its energy: 1 speech, 0 none, -1 unsure.

    A frame is speech when its low or its high band stands 14 dB above the clip's own floor and
    at most 32 dB below its loud frames; within 10 dB under that line, or when that lasts less
    than 0.1 s, it is unsure. Pauses below 0.3 s count as speech.
    """
    power = np.exp(LogMel()(samples).astype(np.float64))
    speech, silent = np.zeros(len(power), bool), np.ones(len(power), bool)
    for band in (power[:, 3:40], power[:, 40:]):
        level = 10 * np.log10(_smooth(band.mean(1), 3))
        line = max(np.percentile(level, 5) + 14, np.percentile(level, 95) - 32)
        speech |= level > line
        silent &= level < line - 10
    labels = np.where(speech, 1, np.where(silent, 0, UNSURE))
    _replace_short(labels, 1, shorter_than=10, by=UNSURE)
    _fill_pauses(labels, shorter_than=30)
    steps = np.pad(labels, (0, -len(labels) % STEP), constant_values=0).reshape(-1, STEP)
    return np.where((steps == 1).sum(1) >= 2, 1, np.where((steps == 0).all(1), 0, UNSURE)).astype(np.int8)


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    return np.convolve(np.pad(x, width // 2, mode="edge"), np.ones(width) / width, mode="valid")


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2], edges[1::2]))


def _replace_short(labels: np.ndarray, value: int, shorter_than: int, by: int) -> None:
    for start, end in _runs(labels == value):
        if end - start < shorter_than:
            labels[start:end] = by


def _fill_pauses(labels: np.ndarray, shorter_than: int) -> None:
    for start, end in _runs(labels != 1):
        if start > 0 and end < len(labels) and end - start < shorter_than:
            labels[start:end] = 1


# --- rooms and microphones -----------------------------------------------------------------------


def room(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """A direct path and an exponentially decaying noise tail (RT60 0.1 to 0.9 s)."""
    rt60 = rng.uniform(0.1, 0.9)
    n = int(rt60 * SAMPLE_RATE)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail[: int(0.002 * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(-8, 15) / 20) / np.linalg.norm(tail)  # direct-to-reverberant ratio
    tail[0] = 1
    return _convolve(x, tail)


def _convolve(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    size = 1 << (len(x) + len(h) - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(h, size), size)[: len(x)]


def equaliser(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """A microphone: a smooth curve of +-8 dB, at times a telephone's band."""
    hz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
    gain = np.interp(hz, np.geomspace(50, 8000, 8), rng.uniform(-8, 8, 8))
    if rng.random() < 0.2:
        low, high = rng.uniform(50, 350), rng.uniform(3000, 7000)
        gain -= 40 * np.clip(low / np.maximum(hz, 1) - 1, 0, 1) + 60 * np.clip(hz / high - 1, 0, 1)
    return np.fft.irfft(np.fft.rfft(x) * 10 ** (gain / 20), len(x))


# --- mixes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """Utterances of one manifest, drawn speaker by speaker so that no voice dominates."""

    folder: Path
    speakers: list[list[str]]  # the files of each speaker

    @classmethod
    def of(cls, manifest: Path) -> Corpus:
        files = defaultdict(list)
        for line in manifest.open(encoding="utf-8"):
            row = json.loads(line)
            files[row.get("speaker", row["audio_filepath"])].append(row["audio_filepath"])
        return cls(manifest.parent, list(files.values()))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        files = self.speakers[rng.integers(len(self.speakers))]
        return read(self.folder / files[rng.integers(len(files))])


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) + 1e-9


def background(rng: np.random.Generator, n: int, recorded: list[np.ndarray]) -> np.ndarray:
    """One or two sounds that are not speech; recorded ones are looped or cut to n samples."""
    total = np.zeros(n)
    for _ in range(rng.choice([1, 1, 2])):
        if rng.random() < 0.6:
            sound = np.concatenate([recorded[rng.integers(len(recorded))] for _ in range(4)])
            sound = np.tile(sound, -(-2 * n // len(sound)))
            start = rng.integers(len(sound) - n)
            sound = sound[start : start + n]
        else:
            sound = MADE[str(rng.choice(list(MADE)))](rng, n)
        total += sound / rms(sound) * 10 ** (-rng.exponential(6) / 20)
    return equaliser(rng, total) if rng.random() < 0.5 else total


def lay_speech(rng: np.random.Generator, n: int, corpora: list[Corpus]) -> tuple[np.ndarray, np.ndarray, float]:
    """Utterances with pauses between them -> samples (n,), labels (n // STEP_SAMPLES,), their mean level.

    Half of them come from the first corpus, the real speech.
    """
    speech, labels, levels = np.zeros(n), np.zeros(n // STEP_SAMPLES, np.int8), []
    step = int(rng.exponential(50))
    far = rng.random() < 0.5
    while step < len(labels):
        corpus = corpora[0] if rng.random() < 0.5 else corpora[rng.integers(len(corpora))]
        clip = corpus.draw(rng)
        marks = speech_steps(clip)
        active = np.repeat(marks, STEP_SAMPLES)[: len(clip)] == 1
        if active.mean() > 0.2:  # else the energy told us nothing
            clip = clip / rms(clip[active]) * 10 ** (rng.normal(0, 3) / 20)
            clip = equaliser(rng, clip) if rng.random() < 0.5 else clip
            add(speech, step * STEP_SAMPLES, room(rng, clip) if far else clip)
            levels.append(rms(clip[active]))
            marks = marks[: len(labels) - step]
            labels[step : step + len(marks)] = marks
        step += len(marks) + int(rng.exponential(60))
    return speech, labels, float(np.mean(levels)) if levels else 1.0


def mix(
    rng: np.random.Generator, seconds: float, corpora: list[Corpus], recorded: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """One training example: samples (n,) float32, labels (n // STEP_SAMPLES,).

    Three in ten hold no speech, a quarter come by telephone.
    """
    n = int(seconds * SAMPLE_RATE) // STEP_SAMPLES * STEP_SAMPLES
    speech, labels, level = np.zeros(n), np.zeros(n // STEP_SAMPLES, np.int8), 1.0
    if rng.random() < 0.7:
        speech, labels, level = lay_speech(rng, n, corpora)
    noise = np.zeros(n) if rng.random() < 0.08 else background(rng, n, recorded)
    snr = rng.uniform(5, 25) if rng.random() < 0.75 else rng.uniform(-5, 40)
    mixed = speech / level + noise * 10 ** (-snr / 20)
    loudness = rng.uniform(-65, -6)  # dBFS: of the loudest hundredth
    mixed *= 10 ** (loudness / 20) / (np.percentile(np.abs(mixed), 99) + 1e-9)
    mixed += rng.choice([0, 0, 0, rng.uniform(-0.05, 0.05)])  # a DC offset
    if rng.random() < 0.7:  # no microphone is perfectly quiet
        mixed += rng.standard_normal(n) * 10 ** (rng.uniform(-90, -55) / 20)
    if rng.random() < 0.25:
        mixed = telephone(mixed)
    return in_16_bits(mixed).astype(np.float32), labels
