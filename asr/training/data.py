"""Training data: manifests in, audio decoded once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr import audio
from asr.audio.decoders import PIECE, Mixer
from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from asr.files import atomic_write, read_text
from asr.text import normalise


class ManifestError(Error):
    """One sentence: which line of which manifest is wrong, and why."""


@dataclass(frozen=True)
class Utterance:
    """A recording, or a part of one, and what is said in it."""

    path: Path
    duration: float  # seconds
    text: str  # normalised
    corpus: str
    speaker: str
    raw: str = ""  # the text as it was written
    start: float | None = None  # s into the file; None: the utterance is the whole file

    @property
    def name(self) -> str:
        """Of its audio: the file, and where in it."""
        return str(self.path) if self.start is None else f"{self.path} at {self.start:.2f} s"


def read_manifest(path: str | Path, parts: bool = True) -> list[Utterance]:
    """A JSONL file with audio_filepath (relative to it), duration (s), text; corpus and speaker if known.

    Where a row has `offset` (as NeMo writes it) or `start`, in seconds, the utterance is that part of the file.
    parts: False refuses such rows. Raises ManifestError.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest")
    utterances = []
    lines = read_text(path, ManifestError).split("\n")  # splitlines() would cut at U+2028 inside a text, too
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, start=1):
        try:
            row = json.loads(line)
            file, duration = path.parent / row["audio_filepath"], float(row["duration"])
            start, raw = _start(row), row.get("text", "")
            text = normalise(raw)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise ManifestError(f"{path}, line {number}: not a manifest entry ({why}); it is like {_ENTRY}") from None
        if not 0 < duration < math.inf:
            raise ManifestError(f"{path}, line {number}: the duration must be above 0 s, not {duration}")
        if start is not None and not parts:
            raise ManifestError(f"{path}, line {number}: parts of files are not heard here, cut it out into a file")
        if start is not None and not 0 <= start < math.inf:
            raise ManifestError(f"{path}, line {number}: the offset must be 0 s or more, not {start}")
        corpus, speaker = row.get("corpus", path.stem), row.get("speaker", "unknown")
        utterances.append(Utterance(file, duration, text, corpus, speaker, raw, start))
    if not utterances:
        raise ManifestError(f"{path}: the manifest is empty")
    return utterances


def _start(row: dict) -> float | None:
    """Where in its file a manifest's row begins, in seconds; None where the row is the whole file."""
    given = {float(row[key]) for key in ("offset", "start") if row.get(key) is not None}
    if len(given) > 1:
        raise ValueError("offset and start differ")
    return given.pop() if given else None


_ENTRY = '{"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}'


class Audio:
    """Utterances decoded once into one file of 16-bit samples at 16 kHz, read through the page cache."""

    def __init__(self, utterances: list[Utterance], cache: Path):
        if missing := [u.path for u in utterances if not u.path.is_file()]:
            raise ManifestError(f"{len(missing)} audio files of the manifest are missing, {missing[0]} the first")
        listing = "\n".join(map(_identity, utterances))
        base = cache / hashlib.sha256(listing.encode()).hexdigest()[:16]
        pcm, ends = base.with_suffix(".pcm"), base.with_suffix(".npy")
        if not ends.exists():
            cache.mkdir(parents=True, exist_ok=True)
            _decode(utterances, pcm, ends)
        self._ends = np.load(ends)
        self._samples = np.memmap(pcm, np.int16, mode="r")

    def __getitem__(self, i: int) -> np.ndarray:
        """(n,) float32 in -1..1."""
        start = self._ends[i - 1] if i else 0
        return self._samples[start : self._ends[i]].astype(np.float32) / 32768

    @property
    def durations(self) -> np.ndarray:
        """Seconds that each utterance really has."""
        return np.diff(self._ends, prepend=0) / SAMPLE_RATE


class Joined(Sequence[np.ndarray]):
    """Several corpora's audio under one index."""

    def __init__(self, corpora: list[list[Utterance]], cache: Path):
        self._parts, self._starts = [Audio(c, cache) for c in corpora], np.cumsum([0, *map(len, corpora)])
        self.durations = np.concatenate([part.durations for part in self._parts])

    def __len__(self) -> int:
        return len(self.durations)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        part = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self._parts[part][i - self._starts[part]]


def measured(utterances: list[Utterance], audio: Audio | Joined) -> list[Utterance]:
    """The same with the durations that their audio has: what manifests say may be wrong."""
    return [replace(u, duration=float(seconds)) for u, seconds in zip(utterances, audio.durations, strict=True)]


def _identity(u: Utterance) -> str:
    """What the key of the cache is made of: a file that was replaced or written to is decoded anew."""
    part, status = "" if u.start is None else f" {u.start} {u.duration}", u.path.stat()
    return f"{u.path.resolve()} {status.st_size} {status.st_mtime_ns}{part}"


def _decode(utterances: list[Utterance], pcm: Path, ends: Path) -> None:
    total, offsets = 0, []
    with atomic_write(pcm) as partial, partial.open("wb") as out:
        for u in utterances:
            samples = read_samples(u)
            out.write((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
            total += len(samples)
            offsets.append(total)
    with atomic_write(ends) as partial, partial.open("wb") as out:
        np.save(out, np.array(offsets, np.int64))


def read_samples(u: Utterance) -> np.ndarray:
    """Any kind of audio file -> (n,) float32 at 16 kHz; samples that are no numbers are 0. Raises ManifestError."""
    return read_counted(u)[0]


def read_counted(u: Utterance) -> tuple[np.ndarray, int, int]:
    """-> the samples (n,) at 16 kHz, how many were NaN, infinite or far too large, the file's own rate (Hz).

    What libsndfile cannot read goes by way of ffmpeg. Raises ManifestError.
    """
    try:
        with soundfile.SoundFile(u.path) as file:
            if u.start is not None:
                file.seek(min(file.frames, round(u.start * file.samplerate)))
            count = -1 if u.start is None else round(u.duration * file.samplerate)
            read, mixer = file.read(count, "float32", always_2d=True), Mixer(None)
            samples = np.concatenate([mixer(read[at : at + PIECE]) for at in range(0, len(read) or 1, PIECE)])
            return soxr.resample(samples, file.samplerate, SAMPLE_RATE), mixer.bad, file.samplerate
    except soundfile.LibsndfileError as error:
        said = error.error_string
    try:
        samples = audio.load(str(u.path))
    except audio.AudioError as error:
        said += "; other kinds than wav, flac, ogg, mp3 need ffmpeg" if "install ffmpeg" in str(error) else ""
        raise ManifestError(f"cannot read {u.path} ({said}): replace it or leave it out") from None
    start = round((u.start or 0.0) * SAMPLE_RATE)
    end = len(samples) if u.start is None else start + round(u.duration * SAMPLE_RATE)
    return samples[start:end], 0, SAMPLE_RATE
