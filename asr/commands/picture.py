"""The command `asr picture`: what the model hears, drawn."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE, LogMelOptions
from asr.commands.terminal import add_model, say
from asr.errors import Error, UsageError
from asr.transcript import Word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from asr.recognizer import Recognizer

WAKE_WORDS = "wakeword.several"  # as for asr.serve: loaded by its name
USUAL_S, MOST_S = 30.0, 120.0  # s of a picture where nothing is said, and at most
ROW_S = 10.0  # s of a row
LEAST_SHOWN = 0.02  # probability of a symbol that is drawn at all
SUFFIXES = (".png", ".svg")


@dataclass(frozen=True)
class Score:
    """Of a wake word."""

    name: str
    times: np.ndarray  # (n,) s of the picture
    scores: np.ndarray  # (n,) 0..1
    threshold: float


@dataclass(frozen=True)
class Heard:
    """What the model hears in a stretch of sound; its times count from the stretch's start."""

    start: float  # s of the recording
    seconds: float
    frames: np.ndarray  # (T, n_mels) log-mel, ln of power
    frontend: LogMelOptions
    words: tuple[Word, ...]
    symbols: tuple[str, ...]  # of the columns of `probabilities`, the blank first
    probabilities: np.ndarray  # (T', symbols)
    step: float  # s from one row of these to the next
    wake: tuple[Score, ...] = ()


def add_picture(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Draw what the model hears: the log-mel spectrogram, the words over it with how sure they are, the letters or "
        "phonemes of its output under it, on request a wake word's score and threshold."
    )
    p.add_argument("file", metavar="FILE", help="audio or video file, or - for standard input")
    p.add_argument(
        "-o", "--output", required=True, metavar="PICTURE", help="the picture: a name ending in .png or .svg"
    )
    p.add_argument("--from", dest="start", type=float, default=0.0, metavar="S", help="begin at this second")
    p.add_argument("--to", dest="end", type=float, metavar="S", help="end there (default: 30 s on; at most 120)")
    p.add_argument("--phonemes", action="store_true", help="draw phonemes instead of letters")
    p.add_argument(
        "--wake", action="append", default=[], metavar="NAME_OR_FILE", help="a wake word's score; repeat for more"
    )
    add_model(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from asr.recognizer import load

    start, end = options.start, options.start + USUAL_S if options.end is None else options.end
    check(options.output, start, end)
    recording = audio.Recording(options.file)
    samples = part(recording, start, end)
    heard = hear(load(options.model), samples, start, options.phonemes, options.wake)
    draw(heard, options.output)
    if options.end is None and len(samples) == round(USUAL_S * SAMPLE_RATE):
        say(f"drawn: {start:g} to {end:g} s; choose others by --from and --to")
    if recording.warning:
        say(f"error: {recording.warning}")
    return 1 if recording.warning else 0


def check(output: str, start: float, end: float) -> None:
    """Can there be such a picture? Raises UsageError."""
    if not all(map(find_spec, ("librosa", "matplotlib"))):
        raise UsageError("pictures need librosa and matplotlib: pip install 'asr[train]'")
    if Path(output).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output} is neither PNG nor SVG: let the picture's name end in .png or .svg")
    if not Path(output).absolute().parent.is_dir():
        raise UsageError(f"there is no folder {Path(output).parent} for the picture: make it first")
    if not 0 <= start < end or end - start > MOST_S:
        raise UsageError(f"a picture shows up to {MOST_S:g} s: let --to lie so far behind --from at most")


def part(recording: audio.Recording, start: float, end: float) -> np.ndarray:
    """(n,) the samples of a stretch; nothing behind it is read. Raises AudioError, UsageError."""
    first, last, at, pieces = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE), 0, []
    for block in recording.blocks():
        pieces.append(block[max(0, first - at) : max(0, last - at)])
        at += len(block)
        if at >= last:
            break
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if len(samples) < SAMPLE_RATE // 10:
        raise UsageError(
            f"{recording.name} is {at / SAMPLE_RATE:.1f} s long: there is nothing to draw from {start:g} s on"
        )
    return samples


def hear(
    recognizer: Recognizer, samples: np.ndarray, start: float = 0.0, phonemes: bool = False, wake: list[str] = []
) -> Heard:
    """What the model makes of samples (n,) at 16 kHz. wake: detectors, by name or file. Raises asr.errors.Error."""
    model = recognizer.model
    symbols = model.options.phonemes if phonemes else tuple(model.alphabet.symbols)
    if not symbols:
        raise Error("this model hears no phonemes: leave --phonemes out")
    frames = model.frontend(samples)
    [posteriors] = recognizer.log_probs([frames])
    words = tuple(word for segment in recognizer.transcribe(samples).segments for word in segment.words)
    return Heard(
        start,
        len(samples) / SAMPLE_RATE,
        frames,
        model.options.frontend,
        words,
        ("", *symbols),
        np.exp(posteriors.phonemes if phonemes and posteriors.phonemes is not None else posteriors.letters),
        model.options.frame_seconds,
        tuple(wake_scores(recognizer, samples, wake)) if wake else (),
    )


def wake_scores(recognizer: Recognizer, samples: np.ndarray, names: list[str]) -> list[Score]:
    """The score of every step that has one. Raises asr.errors.Error for a detector that cannot be had."""
    module: Any = import_module(WAKE_WORDS)
    detectors, found = module.detectors(names, [], recognizer), []
    for scored in module.Watch(detectors).feed(samples):
        times = scored.time - scored.step * np.arange(len(scored.scores))[::-1]
        given = scored.scores > 0  # once phonemes are heard, too, there is one for every eighth step
        found.append(Score(scored.name, times[given], scored.scores[given], detectors[scored.name].options.threshold))
    return found


# --- drawing -------------------------------------------------------------------------------------


def draw(heard: Heard, path: str | Path) -> None:
    """Write the picture, a PNG or SVG by its name, in rows of ROW_S."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot

    rows = max(1, int(np.ceil(heard.seconds / ROW_S - 0.01)))
    across = ROW_S if rows > 1 else heard.seconds
    heights = [0.35, 1.6, 0.9, *(0.5 for _ in heard.wake)]
    figure = pyplot.figure(figsize=(max(6.0, 1.4 * across), (sum(heights) + 0.35) * rows), layout="constrained")
    for number, row in enumerate(np.atleast_1d(figure.subfigures(rows, 1))):
        axes = row.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        begin = heard.start + number * across
        axes[0].set_xlim(begin, begin + across)
        _draw_words(axes[0], heard, begin, across)
        _draw_frames(axes[1], heard)
        _draw_symbols(axes[2], heard, begin, across)
        for score, below in zip(heard.wake, axes[3:]):
            _draw_score(below, score, heard.start)
        axes[-1].set_xlabel("s" if number == rows - 1 else "")
        for above in axes[:-1]:
            above.tick_params(labelbottom=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_words(axes: Axes, heard: Heard, begin: float, across: float) -> None:
    """A box for each word, the redder the less sure, with its text as large as it fits."""
    from matplotlib import colormaps

    axes.set(ylim=(0, 1), yticks=[])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for word in heard.words:
        start, length = heard.start + word.start, word.end - word.start
        if not begin <= start + length / 2 < begin + across:
            continue
        colour = colormaps["RdYlGn"](word.confidence)
        axes.broken_barh([(start, length)], (0, 1), facecolor=colour, alpha=0.5, edgecolor="black", linewidth=0.4)
        size = min(9.0, 165 * length / max(1, len(word.text)))
        middle = start + length / 2
        axes.text(middle, 0.64, word.text, ha="center", va="center", fontsize=max(4.0, size))
        axes.text(middle, 0.2, f"{word.confidence:.2f}".lstrip("0"), ha="center", va="center", fontsize=5)


def _draw_frames(axes: Axes, heard: Heard) -> None:
    """The spectrogram over seconds and hertz."""
    from librosa.display import specshow

    o = heard.frontend
    decibels = 10 / np.log(10) * heard.frames.T
    specshow(
        np.maximum(decibels, decibels.max() - 70),
        sr=SAMPLE_RATE,
        x_coords=heard.start + o.hop / SAMPLE_RATE * np.arange(len(heard.frames)),
        x_axis="s",
        y_axis="mel",
        fmin=o.low,
        fmax=o.high,
        ax=axes,
        cmap="magma",
        rasterized=True,
    )
    axes.set(xlabel="", ylabel="Hz", yticks=[500, 1000, 2000, 4000, 8000])
    axes.tick_params(labelsize=7)


def _draw_symbols(axes: Axes, heard: Heard, begin: float, across: float) -> None:
    """The probability of each symbol, its name over where it is highest; what is missing to 1 is the blank."""
    p = heard.probabilities
    times = heard.start + heard.step * (np.arange(len(p)) + 0.5)
    for symbol in np.flatnonzero(p[:, 1:].max(0) > LEAST_SHOWN) + 1:
        axes.fill_between(times, p[:, symbol], step="mid", alpha=0.7, linewidth=0)
    at = 0
    for symbol, run in groupby(p.argmax(1).tolist()):
        length = len(list(run))
        peak = at + int(p[at : at + length, symbol].argmax())
        if symbol and begin <= times[peak] < begin + across:
            name = heard.symbols[symbol].replace(" ", "\N{OPEN BOX}")
            axes.text(times[peak], p[peak, symbol] + 0.02, name, ha="center", fontsize=7)
        at += length
    axes.set(ylim=(0, 1.25), yticks=[0, 1], ylabel="CTC")
    axes.tick_params(labelsize=7)


def _draw_score(axes: Axes, score: Score, start: float) -> None:
    """A wake word's score, and the threshold that it has to reach."""
    axes.plot(start + score.times, score.scores, drawstyle="steps-mid", linewidth=1)
    axes.axhline(score.threshold, color="red", linestyle="--", linewidth=0.7)
    axes.set(ylim=(0, 1.05), yticks=[0, 1])
    axes.set_ylabel(score.name, fontsize=7)
    axes.tick_params(labelsize=7)
