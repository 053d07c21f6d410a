"""How cost grows with a file's length, or with the beam; the time to the first text.

    python -m benchmarks.growth speech/dev.jsonl [--of length beams]

One thread. Writes growth.csv, .md and .png, for the beam growth-beams.*. Texts of beams are searched on the same
log-probabilities of every fourth clip.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from asr.errors import Error
from asr.model.onnx import load_model
from asr.recognizer import Recognizer, RecognizerOptions
from asr.search.decoder import Decoder, DecoderOptions
from benchmarks import measure
from benchmarks.clips import count, summary

RATE = audio.SAMPLE_RATE
ENOUGH = 120.0  # s of audio for a steady figure: shorter files are transcribed several times
SHORT = 5.0  # s of the file that warms up, and of the one whose first text is awaited
COST, PEAK, SEARCH = "CPU s per audio s", "peak MB", "search, CPU ms per audio s"
Rows = Iterator[dict[str, object]]


@dataclass(frozen=True)
class Dimension:
    """What grows: a column of the table, and the horizontal axis of the picture."""

    column: str
    values: tuple[int, ...]  # where none are given
    rows: Callable[[argparse.Namespace, Path], Rows]
    costs: tuple[str, ...]  # columns that are drawn


def main() -> int:
    options = parser().parse_args()
    try:
        return int(any([grow(name, options) for name in options.of]))
    except Error as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    top = measure.parser(__doc__, "audio_filepath, duration, text: clips, used in turn")
    top.add_argument("--of", nargs="+", choices=DIMENSIONS, default=["length"], help="what grows (default: length)")
    top.add_argument("--lengths", dest="length", type=int, nargs="+", metavar="S", default=DIMENSIONS["length"].values)
    top.add_argument("--beams", type=int, nargs="+", metavar="N", default=DIMENSIONS["beams"].values)
    top.add_argument("--starts", type=int, default=7, help="of the command with 5 s of speech (default: 7)")
    top.add_argument("--every", type=int, default=4, metavar="N", help="for beams: each N-th clip only (default: 4)")
    return top


def grow(name: str, options: argparse.Namespace) -> bool:
    """Measure and report one dimension -> whether anything failed."""
    dimension, machine, rows = DIMENSIONS[name], measure.machine(), []
    with tempfile.TemporaryDirectory(prefix="asr-growth-") as folder:
        for row in dimension.rows(options, Path(folder)):
            rows.append(row)
            print(measure.markdown(rows[-1:]), file=sys.stderr, flush=True)
        start = starting(Path(folder), options) if name == "length" else ""
    stem, good = "growth" if name == "length" else f"growth-{name}", [row for row in rows if not row["failure"]]
    text = f"{options.model}, one thread. {machine}.\n\n{measure.markdown(rows)}\n{sentence(good, dimension)}{start}"
    measure.write(options.out, stem, rows, text)
    if good:
        draw(good, dimension, options.out / f"{stem}.png")
    return len(good) < len(rows) or "failed" in start


def by_length(options: argparse.Namespace, folder: Path) -> Rows:
    """Clips with short pauses between them, in one file."""
    clips = [row["audio_filepath"] for row in measure.rows(options.manifest)]
    short = str(chained(clips, SHORT, folder / "short.wav"))
    for seconds in sorted(options.length):
        yield cost(chained(clips, seconds, folder / "long.wav"), seconds, short, options)


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
    row: dict = {"seconds": seconds, "times": times, COST: "", "wall s per audio s": "", PEAK: run.peak}
    clips = result["clips"][1:] if result else []
    failure = next((clip["error"] for clip in clips if clip["error"]), "") if result else run.failure
    if not failure:
        row[COST] = statistics.fmean(clip["cpu"] for clip in clips) / seconds
        row["wall s per audio s"] = statistics.fmean(clip["wall"] for clip in clips) / seconds
    return row | {"failure": failure}


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


def by_beam(options: argparse.Namespace, _: Path) -> Rows:
    """Pieces of speech, and what the model says of each, searched again with every beam."""
    clips = measure.rows(options.manifest)[:: options.every]
    model, card = load_model(options.model, threads=1)
    recognizer = Recognizer.of(model, card, RecognizerOptions(DecoderOptions(beam=1)))
    pieces = [[pair for _, pair in recognizer.posteriors(audio.blocks(row["audio_filepath"]))] for row in clips]
    for beam in sorted(options.beams):
        decoder, texts = Decoder(model, card, DecoderOptions(beam=beam)), []
        decoder(*next(pair for pairs in pieces for pair in pairs))  # warms up
        began = time.process_time()
        for pairs in pieces:
            texts.append(" ".join(decoder(*pair)[0].text for pair in pairs))
        spent = (time.process_time() - began) / sum(row["duration"] for row in clips)
        wrong = summary("WER", *count([row["text"] for row in clips], texts))
        yield {"beam": beam, SEARCH: 1e3 * spent, **wrong, "failure": ""}


DIMENSIONS = {
    "length": Dimension("seconds", (1, 10, 60, 600, 3600, 10800), by_length, (COST, PEAK)),
    "beams": Dimension("beam", (4, 16, 64, 256, 1024), by_beam, (SEARCH, "WER")),
}


def sentence(rows: Sequence[dict], dimension: Dimension) -> str:
    """What the largest costs against the smallest; nothing where there are no two."""
    if len(rows) < 2:
        return ""
    (first, last), cell = (rows[0], rows[-1]), measure.cell
    told = [f"{c} {cell(first[c])} to {cell(last[c])} ({cell(last[c] / first[c])} times)" for c in dimension.costs]
    column = dimension.column
    return f"From {first[column]} to {last[column]} {column}: {', '.join(told)}.\n"


def draw(rows: Sequence[dict], dimension: Dimension, path: Path) -> None:
    pyplot = measure.pyplot()
    figure, both = pyplot.subplots(1, len(dimension.costs), figsize=(9, 3.5), layout="constrained")
    for axes, name in zip(both, dimension.costs):
        axes.plot([row[dimension.column] for row in rows], [row[name] for row in rows], "o-", color="tab:red")
        axes.set(xscale="log", ylim=(0, None), xlabel=dimension.column, ylabel=name)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
