"""Speech Commands (Warden 2018, arXiv 1804.03209) as it is unpacked: a folder for each word, lists of what is held out.

`yes/0a7c2a8d_nohash_0.wav` is the word "yes", said by speaker 0a7c2a8d; `_background_noise_` holds minutes of noise;
`validation_list.txt` and `testing_list.txt` name the clips of these parts, all others are for training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from recipes.speech_commands.model import CLIP

WORDS = tuple(  # of version 2
    "backward bed bird cat dog down eight five follow forward four go happy house learn left marvin nine no off on one "
    "right seven sheila six stop three tree two up visual wow yes zero".split()
)
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
BACKGROUND = "_background_noise_"
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
SHARE = 0.1  # of silence and of unknown words among the 12 classes, against the ten words


class CorpusError(Error):
    """One sentence: what is wrong with the folder, and what to do."""


@dataclass(frozen=True)
class Clip:
    path: Path
    label: str  # its class
    speaker: str
    start: int | None = None  # sample of the file where the second begins; None: the file is the clip
    volume: float = 1.0

    def samples(self) -> np.ndarray:
        """(CLIP,) float32: cut, or padded with silence at its end. Raises CorpusError."""
        try:
            found, rate = soundfile.read(self.path, CLIP, self.start or 0, dtype="float32")
        except (soundfile.LibsndfileError, OSError) as error:
            raise CorpusError(f"cannot read {self.path} ({error}): fetch it again or take it out") from None
        if rate != SAMPLE_RATE or found.ndim != 1:
            raise CorpusError(f"{self.path}: clips must have one channel at {SAMPLE_RATE} Hz")
        return np.pad(self.volume * found, (0, CLIP - len(found)))


@dataclass(frozen=True)
class Corpus:
    classes: tuple[str, ...]
    parts: dict[str, list[Clip]]  # "training", "validation", "testing"
    backgrounds: list[np.ndarray]


def read(folder: Path, classes: int = 35, seed: int = 1) -> Corpus:
    """The corpus in 35 classes (all words) or 12 (ten words, silence, unknown words). Raises CorpusError.

    The 12-class set is made as Warden describes it: in each part a tenth as many clips of silence as of the ten words
    together, which are seconds of the background at any volume down to none, and as many of the other words.
    """
    if classes not in (12, 35):
        raise CorpusError(f"the corpus has 35 classes or 12, not {classes}")
    words = [word for word in WORDS if (folder / word).is_dir()]
    if not words or classes == 12 and not set(COMMANDS) <= set(words):
        raise CorpusError(f"{folder} is not Speech Commands: it must have a folder for each word, such as {folder}/yes")
    parts = _parts(folder, words)
    noises = sorted((folder / BACKGROUND).glob("*.wav"))
    if classes == 12:
        rng = np.random.default_rng(seed)
        parts = {name: _twelve(clips, noises, rng) for name, clips in parts.items()}
        words = [*COMMANDS, SILENCE, UNKNOWN]
    for name, clips in parts.items():
        if not clips:
            raise CorpusError(f"{folder} has no clips for {name}: is {LISTS.get(name, 'a word')} complete?")
    return Corpus(tuple(words), parts, [soundfile.read(path, dtype="float32")[0] for path in noises])


def _parts(folder: Path, words: Sequence[str]) -> dict[str, list[Clip]]:
    part_of = {}
    for part, file in LISTS.items():
        try:
            part_of |= dict.fromkeys((folder / file).read_text().split(), part)
        except OSError as error:
            raise CorpusError(f"{folder / file}: {error.strerror}; it tells what to keep from training") from None
    parts: dict[str, list[Clip]] = {"training": [], **{part: [] for part in LISTS}}
    for word in words:
        for path in sorted((folder / word).glob("*.wav")):
            clip = Clip(path, word, path.name.split("_nohash_")[0])
            parts[part_of.pop(f"{word}/{path.name}", "training")].append(clip)
    if part_of:
        raise CorpusError(f"{len(part_of)} clips of the lists are missing in {folder}, {min(part_of)} the first")
    return parts


def _twelve(clips: list[Clip], noises: list[Path], rng: np.random.Generator) -> list[Clip]:
    known = [clip for clip in clips if clip.label in COMMANDS]
    others = [clip for clip in clips if clip.label not in COMMANDS]
    count = round(SHARE * len(known))
    picked = rng.choice(len(others), min(count, len(others)), replace=False)
    unknown = [Clip(others[i].path, UNKNOWN, others[i].speaker) for i in picked]
    return known + [_silence(noises, i, rng) for i in range(count if noises else 0)] + unknown


def _silence(noises: list[Path], number: int, rng: np.random.Generator) -> Clip:
    path = noises[rng.integers(len(noises))]
    start = int(rng.integers(max(1, soundfile.info(path).frames - CLIP)))
    return Clip(path, SILENCE, f"silence {number}", start, float(rng.uniform()))
