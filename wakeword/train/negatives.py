"""What is not the phrase: the packaged speech and noise, and recordings that the user gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from asr.audio.features import SAMPLE_RATE
from asr.audio.files import AudioCutOff, AudioError
from asr.commands.terminal import say
from asr.errors import Error
from asr.text import normalise
from asr.training.data import ManifestError, read_manifest
from wakeword.phrase import says

DATA = Path(__file__).parent.parent / "data"
MIN_RECORDING_S = 0.1  # s of a recording
SILENT = 2e-3  # between the lowest and the highest sample: peaks of -60 dBFS


class NegativesError(Error, ValueError):
    """Recordings cannot be used; one sentence says which and what to do."""


@dataclass(frozen=True)
class Clip:
    samples: np.ndarray  # (n,) float32 at 16 kHz
    text: str  # normalised; "" for noise, and where nobody wrote down what is said
    corpus: str
    speaker: str


def read(split: str) -> list[Clip]:
    """The packaged clips of "train" or "held-out", those of noise without text. Decodes up to an hour and a half."""
    try:
        rows = [json.loads(line) for line in (DATA / "negatives.jsonl").open(encoding="utf-8")]
        rows = [row for row in rows if row["split"] == split]
        sounds = {file: soundfile.read(DATA / file, dtype="float32")[0] for file in {row["file"] for row in rows}}
        clips = [_cut(sounds[row["file"]], row) for row in rows]
    except (OSError, ValueError, KeyError, soundfile.LibsndfileError) as error:
        raise NegativesError(f"install again: the packaged negatives in {DATA} are damaged ({error})") from None
    return clips


def _cut(sound: np.ndarray, row: dict) -> Clip:
    start, n = round(row["start"] * SAMPLE_RATE), round(row["duration"] * SAMPLE_RATE)
    if start + n > len(sound):
        raise ValueError(f"{row['file']} is too short")
    return Clip(sound[start : start + n], row["text"], row["corpus"], row["speaker"])


def without(clips: Iterable[Clip], phrase: str) -> list[Clip]:
    """Those whose text does not say the phrase, nor anything that sounds the same."""
    phrase = normalise(phrase)
    return [clip for clip in clips if not says(clip.text, phrase)]


def recordings(path: Path | str, report: Callable[[str], None] = say) -> list[Clip]:
    """The user's own: an audio file, a folder of them, or a JSONL manifest as asr.training.data reads it.

    What is broken, silent or too short is reported in a sentence each and left out. Raises NegativesError if nothing
    is left.
    """
    clips = []
    for source, *about in _listed(Path(path)):
        try:
            if isinstance(source, AudioError):
                raise source
            clips.append(Clip(_heard(source, report), *about))
        except AudioError as error:
            report(f"left out: {error}")
    if not clips:
        raise NegativesError(f"nothing in {path} can be used: give audio files in which something is heard")
    return clips


def _listed(path: Path) -> list[tuple[str | AudioError, str, str, str]]:
    """-> file, text, corpus, speaker of each recording."""
    if path.suffix != ".jsonl":
        return [(source, "", path.name, "unknown") for source in audio.find([str(path)])]
    try:
        return [(str(u.path), u.text, u.corpus, u.speaker) for u in read_manifest(path, parts=False)]
    except ManifestError as error:
        raise NegativesError(str(error)) from None


def _heard(source: str, report: Callable[[str], None]) -> np.ndarray:
    """(n,) samples; of a file that breaks off, what could be read."""
    pieces = [np.zeros(0, np.float32)]
    try:
        for block in audio.blocks(source):
            pieces.append(block)
    except AudioCutOff as error:
        report(str(error))
    samples = np.concatenate(pieces)
    if len(samples) < MIN_RECORDING_S * SAMPLE_RATE:
        raise AudioError(f"{source} holds {len(samples) / SAMPLE_RATE:.2f} s only")
    if np.ptp(samples) < SILENT:
        raise AudioError(f"{source} is silent")
    return samples
