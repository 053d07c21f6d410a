"""Where the time goes in the three hot paths, a file, a live stream, a wake word, and what the arithmetic alone needs.

    python -m benchmarks.profiles speech/dev.jsonl

writes profiles.csv, .md and .png: CPU milliseconds of each stage for a second of audio, one thread, beside the
multiply-adds of its matrix products and the time that those take on this machine with nothing around them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from asr.live.listener import Listener
from asr.recognizer import Recognizer, load
from benchmarks import arithmetic, measure, tables
from benchmarks.joined import BLOCK, RATE, joined
from benchmarks.profile_stages import FILE, STREAM, WAKE_WORD
from benchmarks.stopwatch import Point, Stopwatch
from benchmarks.streams import by_chance, wake_word
from wakeword.detector import Detector
from wakeword.train.model import TriggerOptions

Run = Callable[[Stopwatch], None]
ALL = "all"
NOTHING = "wake word, one unit a layer"
TINY = TriggerOptions(channels=1, hidden=1)  # next to no arithmetic, but all the steps


def main() -> int:
    options = parser().parse_args()
    machine, sound = measure.machine(), clips(options.manifest, options.seconds)
    recognizer, size = load(options.model, threads=1), round(BLOCK * RATE)
    blocks = np.split(sound, range(size, len(sound), size))
    rows: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="asr-profile-") as folder:
        soundfile.write(path := Path(folder) / "sound.flac", sound, RATE)
        paths: list[tuple[str, Sequence[Point], Run]] = [
            ("file", FILE, partial(file, recognizer, str(path))),
            ("stream", STREAM, partial(stream, Listener(recognizer), blocks)),
            ("wake word", WAKE_WORD, partial(listen, wake_word(options.detector), blocks)),
            (NOTHING, WAKE_WORD, partial(listen, by_chance(TINY), blocks)),
        ]
        for name, points, run in paths:
            rows += profile(name, points, run, options.seconds)
            print(tables.markdown(rows[-1:]), file=sys.stderr, flush=True)
    report(rows, machine, options)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath")
    top.add_argument("--seconds", type=float, default=300.0, help="of clips joined to one sound (default: 300)")
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--detector", metavar="FILE", help="default: weights by chance, which cost the same")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def clips(manifest: Path, seconds: float) -> np.ndarray:
    """Clips from everywhere in the manifest, with pauses between them."""
    rows = measure.rows(manifest)
    order = np.random.default_rng(0).permutation(len(rows))
    found = joined([rows[i] for i in order[: round(seconds / 4) + 2]], 0).samples
    return np.resize(found, round(seconds * RATE))


def file(recognizer: Recognizer, path: str, watch: Stopwatch) -> None:
    """As Recognizer.transcribe."""
    for _ in recognizer.segments(watch.each("reading FLAC", audio.blocks(path))):
        pass


def stream(listener: Listener, blocks: Sequence[np.ndarray], watch: Stopwatch) -> None:
    for _ in listener.over(blocks):
        pass


def listen(detector: Detector, blocks: Sequence[np.ndarray], watch: Stopwatch) -> None:
    state = detector.start()
    for block in blocks:
        _, state = detector.feed(block, state)


def profile(path: str, points: Sequence[Point], run: Run, seconds: float) -> list[dict[str, object]]:
    """The second of two runs: a row for each stage, the dearest first, and one for all."""
    run(Stopwatch())
    watch = Stopwatch()
    with watch.running(points):
        run(watch)
    total = sum(watch.spent.values())
    rows = []
    for stage, spent in sorted(watch.spent.items(), key=lambda item: -item[1]):
        work = watch.work[stage]
        needed = arithmetic.seconds(work)
        row = {"path": path, "stage": stage, "CPU ms": 1e3 * spent / seconds, "% of the path": 100 * spent / total}
        row |= {"calls": watch.calls[stage] / seconds, "million multiply-adds": "", "they need, ms": "", "times": ""}
        if work:
            counted = arithmetic.multiply_adds(work) / 1e6 / seconds
            row |= {"million multiply-adds": counted, "they need, ms": 1e3 * needed / seconds, "times": spent / needed}
        rows.append(row)
    return [*rows, {"path": path, "stage": ALL, "CPU ms": 1e3 * total / seconds, "% of the path": 100.0}]


def report(rows: list[dict], machine: str, options: argparse.Namespace) -> None:
    text = (
        f"{options.model}, one thread, {options.seconds:g} s of clips with pauses. {machine}.\n\nAll for one second of "
        "audio. A stage's time is without that of the stages it calls; the products need what they take in a loop of "
        f"their own, with their matrices in the cache. {NOTHING}: what is left is numpy's own cost a call.\n\n"
    )
    text += tables.markdown(rows)
    tables.write(options.out, "profiles", rows, text)
    draw(rows, options.out / "profiles.png")


def draw(rows: Sequence[dict], path: Path) -> None:
    """A panel for each path: bars for the stages, darker what their arithmetic needs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["path"] for row in rows))
    figure, panels = pyplot.subplots(1, len(names), figsize=(5 * len(names), 4), layout="constrained")
    for axes, name in zip(panels, names):
        stages = [row for row in rows if row["path"] == name and row["stage"] != ALL][::-1]
        labels = [row["stage"] for row in stages]
        axes.barh(labels, [row["CPU ms"] for row in stages], color="tab:orange", label="spent")
        axes.barh(labels, [row["they need, ms"] or 0 for row in stages], color="tab:red", label="its products need")
        axes.set(title=name, xlabel="CPU ms for a second of audio")
        axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
