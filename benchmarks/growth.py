"""How cost grows: with a file's length, the number of files, streams, hotwords, the beam, the language model's size.

    python -m benchmarks.growth speech/dev.jsonl
    python -m benchmarks.growth speech/dev.jsonl --of files streams hotwords beams lm --text dialogue.txt.xz

One thread. Each writes a CSV, a table with a sentence and a picture: growth.csv for the length, growth-files.csv ...
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.model.checkpoint import CheckpointError
from asr.text_files import TextError
from benchmarks import growth_files, growth_search, growth_streams, measure, tables

Rows = Iterator[dict[str, object]]


@dataclass(frozen=True)
class Dimension:
    """What grows: a column of the table, and the horizontal axis of the picture."""

    column: str
    values: tuple[int, ...]  # where none are given
    rows: Callable[[Sequence[int], Path, argparse.Namespace], Rows]  # of values, with a folder for its files
    costs: tuple[str, ...]  # columns that are drawn


COST, PEAK, SEARCH = "CPU s per audio s", "peak MB", "search, CPU ms per audio s"
DIMENSIONS = {
    "length": Dimension("seconds", (1, 10, 60, 600, 3600, 10800), growth_files.by_length, (COST, PEAK)),
    "files": Dimension("files", (1, 10, 100, 1000), growth_files.by_number, (COST, PEAK)),
    "streams": Dimension("streams", (1, 4, 16, 64), growth_streams.by_number, ("ms a stream and second", PEAK)),
    "hotwords": Dimension("hotwords", (0, 10, 100, 1_000, 10_000), growth_search.by_hotwords, (SEARCH, PEAK)),
    "beams": Dimension("beam", (4, 16, 64, 256, 1024), growth_search.by_beam, (SEARCH, "WER")),
    "lm": Dimension("n-grams", (10_000, 100_000, 1_000_000), growth_search.by_language_model, (SEARCH, PEAK)),
}


def main() -> int:
    top = parser()
    options = top.parse_args()
    if "lm" in options.of and not options.text:
        top.error("--of lm needs --text: what the language models are trained on")
    try:
        # streams are measured in this process: before those that fill it
        return int(any([grow(name, options) for name in DIMENSIONS if name in options.of]))
    except (CheckpointError, TextError) as error:
        print(error, file=sys.stderr)
        return 1


def grow(name: str, options: argparse.Namespace) -> bool:
    """Measure and report one dimension -> whether anything failed."""
    dimension, machine, rows = DIMENSIONS[name], measure.machine(), []
    with tempfile.TemporaryDirectory(prefix="asr-growth-") as folder:
        values = sorted(getattr(options, name) or dimension.values)
        for row in dimension.rows(values, Path(folder), options):
            rows.append(row)
            print(tables.markdown(rows[-1:]), file=sys.stderr, flush=True)
        start = growth_files.starting(Path(folder), options) if name == "length" else ""
    report(name, rows, machine, start, options)
    return any(row["failure"] for row in rows) or "failed" in start


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath, duration, text: clips, used in turn")
    top.add_argument("--of", nargs="+", choices=DIMENSIONS, default=["length"], help="what grows (default: length)")
    for name, dimension in DIMENSIONS.items():
        option = "--lengths" if name == "length" else f"--{name}"
        known = " ".join(map(str, dimension.values))
        top.add_argument(option, dest=name, type=int, nargs="+", metavar="N", help=f"{dimension.column}: {known}")
    top.add_argument("--starts", type=int, default=7, help="of the command with 5 s of speech (default: 7)")
    top.add_argument("--every", type=int, default=4, metavar="N",
                     help="of the clips take each N-th only, for hotwords, beams, lm (default: 4)")  # fmt: skip
    top.add_argument("--text", nargs="+", metavar="FILE", help="for lm: sentences, one a line, to train on")
    top.add_argument("--lines", type=int, default=300_000, metavar="N", help="of the text, at most (default: 300000)")
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def report(name: str, rows: list[dict], machine: str, start: str, options: argparse.Namespace) -> None:
    dimension, stem = DIMENSIONS[name], "growth" if name == "length" else f"growth-{name}"
    good = [row for row in rows if not row["failure"]]
    text = f"{options.model}, one thread. {machine}.\n\n{tables.markdown(rows)}\n{sentence(good, dimension)}{start}"
    tables.write(options.out, stem, rows, text)
    if good:
        draw(good, dimension, options.out / f"{stem}.png")


def sentence(rows: Sequence[dict], dimension: Dimension) -> str:
    """What the largest costs against the smallest; nothing where there are no two."""
    if len(rows) < 2:
        return ""
    (first, last), cell = (rows[0], rows[-1]), tables.cell
    told = [f"{c} {cell(first[c])} to {cell(last[c])} ({cell(last[c] / first[c])} times)" for c in dimension.costs]
    column = dimension.column
    return f"From {first[column]} to {last[column]} {column}: {', '.join(told)}.\n"


def draw(rows: Sequence[dict], dimension: Dimension, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, both = pyplot.subplots(1, len(dimension.costs), figsize=(9, 3.5), layout="constrained")
    for axes, cost in zip(both, dimension.costs):
        axes.plot([row[dimension.column] for row in rows], [row[cost] for row in rows], "o-", color="tab:red")
        axes.set_xscale("symlog" if rows[0][dimension.column] == 0 else "log")
        axes.set(ylim=(0, None), xlabel=dimension.column, ylabel=cost)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
