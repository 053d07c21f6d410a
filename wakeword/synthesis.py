"""A phrase and its near-misses, spoken by every installed voice: folders of clips that a killed run goes on with.

Then other people and other moods say the same clip: pitch, vocal tract and durations are changed apart from each other.
A vocoder (WORLD: Morise et al. 2016) takes a clip apart into pitch, spectral envelope and breath, every 5 ms.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyworld
import soundfile

from asr.audio.features import SAMPLE_RATE
from wakeword.voices import VOICES, Voice

SHARES = {"kokoro": 0.5, "hibari": 0.2, "piper": 0.12, "flite": 0.08, "festival": 0.06, "espeak": 0.04}
COMPRESSION = 0.956  # of Opus: 17 kbit/s, as the packaged speech, so that the codec tells nothing about the word
CHUNK = 25  # clips that one process speaks in a row
MANIFEST = "clips.jsonl"


@dataclass(frozen=True)
class Job:
    """Clips of one kind to be spoken."""

    folder: Path
    texts: tuple[str, ...]  # a clip says one of them
    count: int
    voices: tuple[str, ...]  # names; how much each speaks is in SHARES
    seed: int
    longest: float = 4.0  # s; a synthesiser that takes longer has stumbled


@dataclass(frozen=True)
class Spoken:
    """A clip of a synthetic voice."""

    samples: np.ndarray  # (n,) float32 at 16 kHz, trimmed: speech from the first sample to the last
    text: str
    speaker: str

    @property
    def held_out(self) -> bool:
        """Speakers kept from training, about one in six of most voices: they choose checkpoint and threshold."""
        base = re.sub(r"-[\d.]+$", "", self.speaker.split(":")[0])
        return zlib.crc32(base.encode()) % 6 == 0


def speak(jobs: Sequence[Job], processes: int, progress: Callable[[int], None]) -> list[list[Spoken]]:
    """Speak what the jobs' folders do not hold yet; ``progress`` is told the number of clips there are, of all jobs.

    No two jobs may have folder, texts, voices and seed in common.
    """
    rows: dict[Path, list[dict]] = {}
    chunks = []
    for job in jobs:
        made_of = zlib.crc32(repr((job.texts, job.voices, job.seed, job.longest)).encode())
        folder = job.folder / f"{made_of:08x}"  # other voices, other clips
        folder.mkdir(parents=True, exist_ok=True)
        rows[folder] = [row for row in _rows(folder / MANIFEST) if row["number"] < job.count]
        first = rows[folder][-1]["number"] + 1 if rows[folder] else 0
        chunks += [(job, folder, range(i, min(i + CHUNK, job.count))) for i in range(first, job.count, CHUNK)]
    for (_, folder, _), spoken in zip(chunks, _in_parallel(chunks, processes)):
        with (folder / MANIFEST).open("a", buffering=1) as log:  # whole lines, so that a killed run can go on
            log.writelines(json.dumps(row) + "\n" for row in spoken)
        rows[folder] += spoken
        progress(sum(map(len, rows.values())))
    return [[_read(folder, row) for row in found if row["file"]] for folder, found in rows.items()]


def _in_parallel(chunks: list, processes: int) -> Iterator[list[dict]]:
    if min(processes, len(chunks)) <= 1:
        yield from map(_speak_chunk, chunks)
    else:
        with multiprocessing.get_context("spawn").Pool(min(processes, len(chunks)), leave_ctrl_c) as pool:
            yield from pool.imap(_speak_chunk, chunks)


def leave_ctrl_c(*_: object) -> None:
    """In a worker: the user's Ctrl-C is the main process's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _rows(manifest: Path) -> list[dict]:
    return [json.loads(line) for line in manifest.open()] if manifest.exists() else []


def _read(folder: Path, row: dict) -> Spoken:
    return Spoken(soundfile.read(folder / row["file"], dtype="float32")[0], row["text"], row["speaker"])


_engines: dict[str, Voice] = {}  # of this process; loading one takes seconds


def _speak_chunk(chunk: tuple[Job, Path, range]) -> list[dict]:
    """Write the clips of some numbers into a folder -> their rows of the manifest."""
    job, folder, numbers = chunk
    rows = []
    for number in numbers:
        row: dict = {"number": number, "file": "", "text": "", "speaker": ""}
        if clip := speak_one(job, number):
            row |= {"file": f"{number:06d}.opus", "text": clip.text, "speaker": clip.speaker}
            file = folder / row["file"]
            soundfile.write(file, clip.samples, SAMPLE_RATE, "OPUS", format="OGG", compression_level=COMPRESSION)
        rows.append(row)
    return rows


def speak_one(job: Job, number: int) -> Spoken | None:
    """Clip ``number`` of a job, the same whenever it is asked for; None where the engine stumbled."""
    rng = np.random.default_rng([job.seed, number])
    shares = np.array([SHARES[name] for name in job.voices])
    name = str(rng.choice(job.voices, p=shares / shares.sum()))
    text = str(rng.choice(job.texts))
    if name not in _engines:
        _engines[name] = next(v for v in VOICES if v.name == name)()
    try:
        samples, speaker = _engines[name].speak(text, rng)
    except (subprocess.CalledProcessError, soundfile.LibsndfileError):
        return None
    samples = trim(samples)
    if not 0.15 * SAMPLE_RATE < len(samples) < job.longest * SAMPLE_RATE:
        return None
    return Spoken((samples * (0.5 / np.abs(samples).max())).astype(np.float32), text, speaker)


def trim(samples: np.ndarray, noisy: bool = False) -> np.ndarray:
    """Cut what lies 35 dB below the loudest 10 ms from both ends; empty where all is silent.

    Of ``noisy`` recordings, what lies less than 6 dB above their tenth percentile, the noise, is cut as well.
    """
    n = len(samples) // 160
    power = (samples[: n * 160].reshape(n, 160) ** 2).mean(1) if n else np.zeros(0)
    line = max(power.max(initial=0) * 10**-3.5, 1e-9)
    if noisy and n:
        line = max(line, min(4 * np.percentile(power, 10), power.max() * 10**-1.2))
    loud = np.flatnonzero(power > line)
    return samples[loud[0] * 160 : (loud[-1] + 1) * 160] if len(loud) else samples[:0]


PITCHES = 70.0, 600.0  # Hz in which a pitch is looked for
LOWEST, HIGHEST = 80.0, 400.0  # Hz of men's and of children's voices
TRACT = 0.3  # formants go with this power of the pitch: a child's, an octave and a half above a man's, lie 1.37 higher


@dataclass(frozen=True)
class Manner:
    """How a clip is said anew."""

    tempo: tuple[float, float] = (0.55, 1.0)  # of synthetic voices', which read; people call machines more slowly
    drawl: float = 0.25  # deviation of the logarithm of the tempo from sound to sound
    melody: float = 0.5  # largest rise or fall from start to end, of the logarithm of the pitch
    whisper: float = 0.04  # probability of no pitch at all


HARDER = Manner((0.5, 0.85), 0.35, 0.6, 0.08)  # than all that is learnt from: held-out voices


def said_anew(clips: Sequence[np.ndarray], seed: int, manner: Manner = Manner()) -> list[np.ndarray]:
    """Each clip (n,) at 16 kHz once more, by somebody else: from a low voice to a child's."""
    rng = np.random.default_rng(seed)
    return [_said_anew(clip, rng, manner) for clip in clips]


def _said_anew(clip: np.ndarray, rng: np.random.Generator, manner: Manner) -> np.ndarray:
    samples = clip.astype(np.float64)
    coarse, times = pyworld.dio(samples, SAMPLE_RATE, *PITCHES)
    pitch = pyworld.stonemask(samples, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, times, SAMPLE_RATE)  # (t, 513)
    breath = pyworld.d4c(samples, pitch, times, SAMPLE_RATE)  # (t, 513)
    voiced = pitch > 0
    middle = float(np.median(pitch[voiced])) if voiced.any() else 150.0
    wanted = np.exp(rng.uniform(np.log(LOWEST), np.log(HIGHEST)))
    tract = np.clip((wanted / middle) ** TRACT * np.exp(rng.normal(0, 0.06)), 0.7, 1.5)
    at = _pace(len(pitch), rng, manner)
    moved = np.clip(np.arange(envelope.shape[1]) / tract, 0, envelope.shape[1] - 1).round().astype(int)
    lively = wanted * (np.where(voiced, pitch, middle) / middle) ** rng.uniform(0.5, 1.5)
    slope = np.exp(rng.uniform(-manner.melody, manner.melody) * np.linspace(-0.5, 0.5, len(at)))
    whispered = rng.random() < manner.whisper
    new = np.where(voiced & (not whispered), lively, 0.0)[at] * slope
    grid = np.ascontiguousarray
    spoken = pyworld.synthesize(new, grid(envelope[at][:, moved]), grid(breath[at][:, moved]), SAMPLE_RATE)
    return (spoken * (np.abs(clip).max() / max(np.abs(spoken).max(), 1e-4))).astype(np.float32)


def _pace(frames: int, rng: np.random.Generator, manner: Manner) -> np.ndarray:
    """(n,) which frame is said in each of the new ones: slower on the whole, each sound by a little of its own."""
    sounds = max(2, frames // 16)  # of 80 ms
    drawl = np.interp(np.linspace(0, sounds - 1, frames), np.arange(sounds), rng.normal(0, manner.drawl, sounds))
    ends = np.cumsum(np.exp(drawl)) / rng.uniform(*manner.tempo) * frames / np.exp(drawl).sum()
    return np.searchsorted(ends, np.arange(int(ends[-1])) + 0.5).clip(max=frames - 1)
