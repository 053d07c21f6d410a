"""benchmarks.growth: the length of a file, the number of files, the time to the first text."""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from benchmarks import measure

RATE = audio.SAMPLE_RATE
ENOUGH = 120.0  # s of audio for a steady figure: shorter files are transcribed several times
SHORT = 5.0  # s of the file that warms up, and of the one whose first text is awaited


def by_length(lengths: Sequence[int], folder: Path, options: argparse.Namespace) -> Iterator[dict]:
    """Clips with short pauses between them, in one file."""
    clips = [row["audio_filepath"] for row in measure.rows(options.manifest)]
    short = str(chained(clips, SHORT, folder / "short.wav"))
    for seconds in lengths:
        path = chained(clips, seconds, folder / "long.wav")
        yield cost(path, seconds, short, options)


def by_number(numbers: Sequence[int], folder: Path, options: argparse.Namespace) -> Iterator[dict]:
    """So many clips by one command, its start included."""
    rows = measure.rows(options.manifest)
    for number in numbers:
        place, some = folder / str(number), list(itertools.islice(itertools.cycle(rows), number))
        place.mkdir()
        for i, clip in enumerate(Path(row["audio_filepath"]) for row in some):
            (place / f"{i:06}{clip.suffix}").symlink_to(clip.resolve())
        seconds = sum(row["duration"] for row in some)
        run = measure.run(measure.command(str(place), model=options.model))
        yield {
            "files": number,
            "minutes": seconds / 60,
            "CPU s per audio s": run.cpu / seconds,
            "wall s": run.wall,
            "first text s": run.first,
            "peak MB": run.peak,
            "failure": run.failure,
        }


def chained(clips: list[str], seconds: float, path: Path) -> Path:
    """Write clips in shuffled order, 0.3 to 1 s of silence between, cut to the length; in little memory."""
    random, left = np.random.default_rng(0), round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left:
            for number in random.permutation(len(clips)):
                pause = np.zeros(int(random.uniform(0.3, 1.0) * RATE), np.float32)
                piece = np.concatenate([audio.load(clips[number]), pause])[:left]
                file.write(piece)
                left -= len(piece)
                if not left:
                    break
    return path


def cost(path: Path, seconds: float, short: str, options: argparse.Namespace) -> dict[str, object]:
    """Warm up on the short file, then the long one, in one process through the Python API."""
    times = max(1, round(ENOUGH / seconds))
    run, result = measure.engine("ours", [short] + [str(path)] * times, options.model)
    row: dict = {"seconds": seconds, "times": times, "CPU s per audio s": "", "wall s per audio s": "",
                 "peak MB": run.peak, "failure": ""}  # fmt: skip
    if result is None:
        return row | {"failure": run.failure}
    clips = result["clips"][1:]
    if broken := [clip["error"] for clip in clips if clip["error"]]:
        return row | {"failure": broken[0]}
    row["CPU s per audio s"] = statistics.fmean(clip["cpu"] for clip in clips) / seconds
    row["wall s per audio s"] = statistics.fmean(clip["wall"] for clip in clips) / seconds
    return row


def starting(folder: Path, options: argparse.Namespace) -> str:
    """One sentence on runs of the command with 5 s of speech, which lie in the folder."""
    command = measure.command(str(folder / "short.wav"), model=options.model)
    runs = [measure.run(command) for _ in range(options.starts)]
    if not runs:
        return ""
    if failed := [run for run in runs if run.status]:
        return f"`asr transcribe` failed {len(failed)} times of {len(runs)}: {failed[0].failure}\n"
    firsts, cpu = sorted(run.first for run in runs), statistics.median(run.cpu for run in runs)
    return (
        f"`asr transcribe` on 5 s of speech: first text {statistics.median(firsts):.2f} s after its start "
        f"({firsts[0]:.2f} to {firsts[-1]:.2f} in {len(runs)} runs), {cpu:.2f} CPU s.\n"
    )
