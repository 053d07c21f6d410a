"""Our recogniser beside its peers on the same clips, one thread each: errors, speed, memory, start-up.

    python -m benchmarks.transcription DATA/speech/dev.jsonl
    python -m benchmarks.transcription DATA/speech/dev.jsonl --limit 60 --busy 10 --name transcription-busy

writes transcription.csv, .md and .png; the second line with ten processes beside that do nothing but compute.
The peers get a virtual environment of their own, once.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from asr.commands.score_input import ScoreError, normaliser
from benchmarks import measure
from benchmarks.clips import count, difference, summary
from benchmarks.engines import ENGINES
from benchmarks.measure import ENVIRONMENT, install

OURS = "ours"  # the row that every other is compared with
STARTS = 3  # of the process with one clip; the median counts


@dataclass(frozen=True)
class Outcome:
    """What one engine did; without a result, ``failure`` says why."""

    name: str
    failure: str = ""
    peak: float = math.nan  # MB of the process over all clips
    disk: float = math.nan  # MB of its packages, with what they require
    result: dict = field(default_factory=dict)  # of benchmarks.engines.work
    start: float = 0.0  # seconds from the start of a process to the text of a clip of about 5 s

    @property
    def texts(self) -> list[str]:
        return [clip["text"] for clip in self.result["clips"]]


def main() -> int:
    options = parser().parse_args()
    rows = measure.spread(measure.rows(options.manifest), options.limit)
    machine, outcomes = measure.machine(), []
    with tempfile.TemporaryDirectory(prefix="asr-benchmark-") as folder:
        wavs = decode(rows, Path(folder))
        short = wavs[int(np.argmin([abs(row["duration"] - 5) for row in rows]))]
        for name in options.only or ENGINES:
            with measure.busy(options.busy):
                outcomes.append(outcome(name, wavs, short, options))
            print(name, outcomes[-1].failure or "done", file=sys.stderr, flush=True)
    report(outcomes, rows, machine, options)
    return 1 if any(o.failure for o in outcomes) else 0


def parser() -> argparse.ArgumentParser:
    top = measure.parser(__doc__, "audio_filepath, duration, text, corpus")
    top.add_argument("--only", nargs="+", choices=ENGINES, metavar="ENGINE", help=f"of {', '.join(ENGINES)}")
    top.add_argument("--limit", type=int, metavar="N", help="N clips, spread evenly over the manifest")
    top.add_argument("--busy", type=int, default=0, metavar="N", help="N processes that compute beside each engine")
    top.add_argument("--name", default="transcription", help="of the files that are written (default: transcription)")
    top.add_argument(
        "--environment",
        type=Path,
        default=ENVIRONMENT,
        metavar="DIR",
        help="virtual environment of the peers: made, and filled where it lacks a package",
    )
    return top


def decode(rows: list[dict], folder: Path) -> list[str]:
    """Every clip once to 16 kHz, 16 bit, mono: the same samples for all, and no decoding in anyone's time."""
    paths = [str(folder / f"{number:05}.wav") for number in range(len(rows))]
    for row, path in zip(rows, paths):
        soundfile.write(path, audio.load(row["audio_filepath"]), audio.SAMPLE_RATE, "PCM_16")
    return paths


def outcome(name: str, wavs: list[str], short: str, options: argparse.Namespace) -> Outcome:
    packages, python = ENGINES[name].packages, sys.executable
    if packages:
        python = str(options.environment / "bin" / "python")
        if problem := install(options.environment, packages):
            return Outcome(name, problem)
    starts, result = [], {}
    for files in [[short]] * STARTS + [wavs]:
        run, found = measure.engine(name, files, options.model, python)
        starts.append(run.first)
        if found is None:
            return Outcome(name, run.failure)
        result = found
    start, disk = statistics.median(starts[:STARTS]), measure.installed(ENGINES[name].packages, python)
    if broken := [clip["error"] for clip in result["clips"] if clip["error"]]:
        return Outcome(name, f"{len(broken)} of {len(wavs)} clips, {broken[0]}", run.peak, disk, result, start)
    return Outcome(name, "", run.peak, disk, result, start)


def report(outcomes: list[Outcome], rows: list[dict], machine: str, options: argparse.Namespace) -> None:
    done = [o for o in outcomes if o.result]
    references, whisper = [row["text"] for row in rows], whisper_normaliser()
    counts = {o.name: count(references, o.texts) for o in done}
    table = []
    for o in outcomes:
        row: dict = {"engine": o.name, "settings": ENGINES[o.name].settings, "failure": o.failure}
        if o.result:
            row |= scores(o.name, counts, rows) | costs(o, rows)
            if whisper:
                wrong, total = count(map(whisper, references), map(whisper, o.texts))
                row["WER, Whisper's normaliser"] = 100 * wrong.sum() / total.sum()
        table.append(row)
    measure.write(options.out, options.name, table, page(table, rows, machine, options))
    with (options.out / f"{options.name}-texts.jsonl").open("w") as file:
        for i, row in enumerate(rows):
            texts = {"reference": row["text"]} | {o.name: o.texts[i] for o in done}
            file.write(json.dumps({"file": Path(row["audio_filepath"]).name} | texts) + "\n")
    draw([row for row in table if "WER" in row], options.out / f"{options.name}.png")


def whisper_normaliser() -> Callable[[str], str] | None:
    """None where it is not installed."""
    try:
        return normaliser("whisper")
    except ScoreError as error:
        print(f"no column for Whisper's normaliser: {error}", file=sys.stderr)
        return None


def scores(name: str, counts: dict, rows: list[dict]) -> dict[str, float]:
    """WER of all clips and of every corpus, and how ours differs, with intervals, in per cent."""
    wrong, total = counts[name]
    corpora = np.array([row["corpus"] for row in rows])
    found = summary("WER", wrong, total)
    for corpus in dict.fromkeys(corpora.tolist()):
        found |= summary(f"WER {corpus}", wrong[corpora == corpus], total[corpora == corpus])
    if OURS in counts and name != OURS:
        names = "ours minus this", "ours minus this low", "ours minus this high"
        found |= dict(zip(names, difference(counts[OURS][0], wrong, total)))
    return found


def costs(o: Outcome, rows: list[dict]) -> dict[str, object]:
    """Per second of audio, loading left out; memory and start-up of the whole process."""
    seconds, clips = sum(row["duration"] for row in rows), o.result["clips"]
    return {
        "CPU s per audio s": sum(clip["cpu"] for clip in clips) / seconds,
        "wall s per audio s": sum(clip["wall"] for clip in clips) / seconds,
        "load CPU s": o.result["load_cpu"],
        "first text s": o.start,
        "peak MB": o.peak,
        "installed MB": o.disk,
        "versions": ", ".join(f"{k} {v}" for k, v in o.result["versions"].items()),
    }


def page(table: list[dict], rows: list[dict], machine: str, options: argparse.Namespace) -> str:
    """The Markdown page: intervals in brackets behind their figures."""
    hidden = {"settings", "versions"} | (set() if any(row["failure"] for row in table) else {"failure"})
    short = [{key: value for key, value in measure.with_intervals(row).items() if key not in hidden} for row in table]
    beside = f", {options.busy} other processes computing" if options.busy else ""
    minutes = sum(row["duration"] for row in rows) / 60
    settings = "".join(f"- {row['engine']}: {row['settings']}. {row.get('versions', '')}\n" for row in table)
    return (
        f"{len(rows)} clips, {minutes:.1f} minutes, of {options.manifest.name}; one thread each{beside}. {machine}. "
        f"WER in per cent with 95 % bootstrap intervals over clips.\n\n{measure.markdown(short)}\n{settings}"
    )


def draw(table: list[dict], path: Path) -> None:
    """A line for each engine: errors with their interval, and cost; shorter is better in both."""
    if not table:
        return
    pyplot = measure.pyplot()
    table = table[::-1]  # the first on top
    names = [row["engine"] for row in table]
    colours = ["tab:red" if name.startswith(OURS) else "tab:blue" for name in names]
    wer, cost = ([row[key] for row in table] for key in ("WER", "CPU s per audio s"))
    spans = [[row["WER"] - row["WER low"] for row in table], [row["WER high"] - row["WER"] for row in table]]
    figure, (left, right) = pyplot.subplots(
        1, 2, sharey=True, figsize=(10, 1.2 + 0.3 * len(table)), layout="constrained"
    )
    left.barh(names, wer, xerr=spans, color=colours, capsize=3)
    left.set(xlabel="word error rate, %, with 95 % intervals", xlim=(0, None))
    right.barh(names, cost, color=colours)
    right.bar_label(right.containers[0], fmt="%.3g", padding=3)
    right.set(xlabel="CPU seconds per second of audio, one thread", xlim=(0, 1.15 * max(cost)))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
