"""What a detector is measured on: files, folders and manifests -> recordings; noise without end; levels.

There is one definition of SNR here, that of Picovoice's wake-word benchmark: the energy of the loudest frame of 512
samples of the speech over that of the loudest such frame of the noise under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr import audio
from asr.errors import Error
from asr.training.data import ManifestError, read_manifest
from wakeword.phrase.pronunciation import says

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
