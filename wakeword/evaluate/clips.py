"""Clips of the phrase, heard as they would be live: from a fresh state, sound before and after, clean or in noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from asr.training.augment import telephone
from asr.training.data import ManifestError, read_manifest
from wakeword.evaluate.conditions import TALKER, across_a_room, quiet
from wakeword.phrase import says
from wakeword.scoring import Scorer, detections, first_hits, trace

FRAME_SAMPLES = 512  # samples at 16 kHz
MAX_RECORDING_S = 30.0  # s of a recording that are held in memory
SPEECH, NOISE, UNLABELLED = "speech", "noise or silence", "unlabelled"


class EvaluationError(Error, ValueError):
    """One sentence: why nothing can be measured, and what to do."""


class Recording(NamedTuple):
    """An audio file and what is known of it."""

    path: str
    source: str  # the manifest's corpus, or the folder
    text: str | None  # normalised; "" where nothing is said, None where no manifest tells

    @property
    def kind(self) -> str:
        return UNLABELLED if self.text is None else SPEECH if self.text else NOISE

    def says(self, phrase: str) -> bool:
        """The text sounds as if the phrase (normalised) were in it, whatever the spelling."""
        return bool(phrase) and says(self.text or "", phrase)


def recordings(paths: Sequence[str | Path]) -> list[Recording]:
    """Audio files, folders and JSONL manifests, in the order given. Raises EvaluationError for what is none of them."""
    found: list[Recording] = []
    for path in map(str, paths):
        found += _listed(path) if path.endswith(".jsonl") else _named(path)
    return found


def _listed(path: str) -> list[Recording]:
    try:
        return [Recording(str(u.path), u.corpus, u.text) for u in read_manifest(path, parts=False)]
    except ManifestError as error:
        raise EvaluationError(str(error)) from None


def _named(path: str) -> list[Recording]:
    source, found = path if Path(path).is_dir() else "files", []
    for file in audio.find([path]):
        if isinstance(file, audio.AudioError):
            raise EvaluationError(str(file))
        found.append(Recording(file, source, None))
    return found


def with_phrase(files: Sequence[Recording], phrase: str) -> list[Recording]:
    """Those that say it, and those that nobody labelled."""
    return [r for r in files if not phrase or r.text is None or r.says(phrase)]


def without_phrase(files: Sequence[Recording], phrase: str) -> list[Recording]:
    """Those that do not say it, and those that nobody labelled."""
    return [r for r in files if not r.says(phrase)]


def endless(sources: Sequence[Recording], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pieces (n,) of up to LONGEST s with a peak of 1, all recordings in a new order each round; silent ones left out.

    Raises EvaluationError when all are silent, AudioError when one cannot be read.
    """
    while True:
        heard = False
        for i in rng.permutation(len(sources)):
            for piece in audio.blocks(sources[i].path, MAX_RECORDING_S):
                peak = np.abs(piece).max()
                if peak > 0:
                    heard = True
                    yield piece / peak
        if not heard:
            raise EvaluationError("background recordings are needed that are not silent throughout: give others")


class Noise:
    """The noises one after the other, to be taken in stretches."""

    def __init__(self, sources: Sequence[Recording], rng: np.random.Generator):
        self._pieces, self._rest = endless(sources, rng), np.zeros(0, np.float32)

    def take(self, n: int) -> np.ndarray:
        """The next (n,) samples; a stretch that is silent throughout is passed over: it has no SNR."""
        while True:
            held = [self._rest]
            while sum(map(len, held)) < n:
                held.append(next(self._pieces))
            samples = np.concatenate(held)
            self._rest = samples[n:]
            if loudest(samples[:n]) > 0:
                return samples[:n]


def loudest(samples: np.ndarray) -> float:
    """Energy of the loudest of the whole frames of FRAME samples; less than a frame counts as one."""
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    frames = samples[:whole].reshape(-1, FRAME_SAMPLES) if whole else samples[None]
    return float(np.square(frames, dtype=np.float64).sum(1).max())


def noise_gain(speech: np.ndarray, noise: np.ndarray, snr: float) -> float:
    """The factor that brings noise (m,) to ``snr`` dB below speech (n,), loudest frame against loudest frame."""
    return float(np.sqrt(loudest(speech) / loudest(noise)) * 10 ** (-snr / 20))


CLEAN = "clean"
ROOM, TELEPHONE, QUIET, TALK = "room, 3 m", "telephone", "-60 dBFS", "talker, 5 dB"  # see conditions.py


@dataclass(frozen=True)
class ClipOptions:
    """How clips of the phrase are heard, and what is a hit. Raises EvaluationError."""

    snrs: tuple[float, ...] = (20.0, 10.0, 5.0, 0.0)  # dB, as wakeword.evaluate.clips defines it
    lead_in: float = 1.0  # s heard before each clip: digital silence, or the condition's noise
    late: float = 0.5  # s heard after it; a hit falls between the clip's start and this long after its end
    conditions: bool = False  # heard also across a room, by telephone, very quietly, beside somebody who talks
    seed: int = 0  # of the noise, the rooms and the talkers

    def __post_init__(self):
        if self.lead_in < 0 or self.late < 0:
            raise EvaluationError("a clip's lead-in and the time after it are at least 0 s")


@dataclass(frozen=True)
class Clips:
    """What a detector made of each clip, in every condition."""

    windows: np.ndarray  # (n, 2) s of each clip's trace: where a detection is a hit
    word_ends: np.ndarray  # (n,) s of the trace
    traces: dict[str, list[np.ndarray]]  # condition -> the scores (steps,) of each clip

    def hits(self, scorer: Scorer, threshold: float, condition: str) -> np.ndarray:
        """(n,) s of the trace at which each clip was first detected, nan where it was missed."""
        heard = zip(self.traces[condition], self.windows)
        return np.array([first_hits(detections(scorer, s, threshold), w[None])[0][0] for s, w in heard])


class Conditions:
    """What is to be heard of a clip: alone, in noise, in other conditions."""

    def __init__(self, noises: Sequence[Recording], talkers: Sequence[Recording], options: ClipOptions):
        self._options, seed = options, options.seed
        self._noise = Noise(noises, np.random.default_rng(seed)) if noises else None
        talk = options.conditions and talkers
        self._talker = Noise(talkers, np.random.default_rng([seed, 1])) if talk else None
        self._rooms = np.random.default_rng([seed, 2])

    def __call__(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """A clip (n,) -> condition: samples, from before it to after it."""
        alone, found = self._padded(clip), {}
        if self._noise:
            found = self._beside(clip, self._noise, {f"{snr:g} dB": snr for snr in self._options.snrs})
        if self._options.conditions:
            found |= {ROOM: across_a_room(alone, self._rooms), TELEPHONE: telephone(alone)}
            found |= {QUIET: self._padded(quiet(clip))}
        if self._talker:
            found |= self._beside(clip, self._talker, {TALK: TALKER})
        return {CLEAN: alone} | {name: samples.astype(np.float32) for name, samples in found.items()}

    def _padded(self, clip: np.ndarray, mode: Literal["constant", "wrap"] = "constant") -> np.ndarray:
        o = self._options
        return np.pad(clip, (round(o.lead_in * SAMPLE_RATE), round(o.late * SAMPLE_RATE)), mode)

    def _beside(self, clip: np.ndarray, noise: Noise, snrs: Mapping[str, float]) -> dict[str, np.ndarray]:
        """The clip keeps its level, the noise is scaled; what lies around the clip is the noise under it, repeated."""
        under, alone = noise.take(len(clip)), self._padded(clip)
        around = self._padded(under, "wrap")
        return {name: alone + around * np.float32(noise_gain(clip, under, snr)) for name, snr in snrs.items()}


def hear(
    scorer: Scorer,
    files: Sequence[Recording],
    noises: Sequence[Recording],
    options: ClipOptions,
    left_out: list[str],
    talkers: Sequence[Recording] = (),
) -> Clips:
    """Clips in every condition, a clip's noise the same in all of them; bad files are noted in ``left_out``."""
    conditions, traces = Conditions(noises, talkers, options), defaultdict(list)
    windows, ends = [], []
    for clip in _readable(files, left_out):
        for name, samples in conditions(clip).items():
            traces[name].append(trace(scorer, [samples])[0])
        lead, end = options.lead_in, options.lead_in + len(clip) / SAMPLE_RATE
        windows.append((lead, end + options.late))
        ends.append(lead + word_end(clip))
    if not windows:
        raise EvaluationError("misses need recordings of the phrase: give some that say it and can be read")
    return Clips(np.array(windows), np.array(ends), dict(traces))


def _readable(files: Sequence[Recording], left_out: list[str]) -> Iterator[np.ndarray]:
    for file in files:
        try:
            clip = audio.load(file.path)
        except audio.AudioError as error:
            left_out.append(str(error))
            continue
        if clip.any():
            yield clip
        else:
            left_out.append(f"{file.path} is silent")


def word_end(samples: np.ndarray, depth: float = 35.0, pause: float = 0.4) -> float:
    """A clip (n,) that says one phrase -> seconds at which the phrase ends, by its energy.

    That is the last 10 ms, from the loudest on, before ``pause`` s below a level: a third of the way (in dB) from the
    clip's quiet tenth to its loudest, but at most ``depth`` dB below the loudest. Good to a few hundredths of a second
    in quiet clips; late in reverberation, early after a weak last consonant or a longer pause inside the phrase.
    """
    n = max(1, len(samples) // 160)
    power = np.square(np.resize(samples, (n, 160)), dtype=np.float64).mean(1)
    level = np.convolve(np.pad(10 * np.log10(power + 1e-10), 1, mode="edge"), np.ones(3) / 3, "valid")
    top, floor = level.max(), np.percentile(level, 10)
    loud = np.flatnonzero(level >= max(top - depth, floor + (top - floor) / 3))
    loud = loud[loud >= level.argmax()]
    gaps = np.flatnonzero(np.diff(loud) > pause * 100)
    last = loud[gaps[0]] if len(gaps) else loud[-1]
    return (last + 1) * 160 / SAMPLE_RATE
