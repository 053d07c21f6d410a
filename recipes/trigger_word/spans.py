"""How long should the ones be? One detector for each span, all else alike, measured on the same recordings.

    python -m recipes.trigger_word.spans OUT --phrase snowboy --positives wake-dev.jsonl --negatives speech/dev.jsonl

The phrase is spoken once; the detectors share the clips. Each is measured with its phonemes and without them, so that
the span's own effect can be seen. Results: OUT/spans.csv and a table on the screen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wakeword.detector import load
from wakeword.evaluate import evaluate
from wakeword.evaluate.report import DELAY, Row, estimate, table, write_csv
from wakeword.scoring import SWEPT
from wakeword.train.build import BuildOptions, build

STEP = 0.04  # s
LECTURE = 50 / 1375 * 10  # s: 50 of the 1375 steps in 10 s
SPANS = (STEP, LECTURE, 2 * LECTURE, 4 * LECTURE)


def measured(span: float, options: argparse.Namespace) -> Iterator[Row]:
    """Train with ones for ``span`` seconds after the word, or take the detector that is there."""
    path = options.out / f"{options.phrase.replace(' ', '-')}-{span:.2f}.safetensors"
    if not path.exists():
        wanted = BuildOptions(tuple(options.voices.split(",")) if options.voices else ())
        train = replace(wanted.train, span=span, updates=options.updates)
        build(options.phrase, path, replace(wanted, train=train), lambda line: print(line, file=sys.stderr))
    detector = load(path)
    ways = {"no": None} | ({"yes": detector.phonemes} if detector.phonemes else {})
    for name, detector.phonemes in ways.items():
        report = evaluate(detector, options.positives, options.negatives, options.noise)
        found = {"span s": round(span, 2), "phonemes": name}
        yield from (found | row for row in report.misses if row["set"] == SWEPT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the detectors and the results")
    parser.add_argument("--phrase", default="activate")
    parser.add_argument("--positives", type=Path, nargs="+", required=True, help="real recordings of the phrase")
    parser.add_argument("--negatives", type=Path, nargs="+", required=True, help="real speech without it")
    parser.add_argument("--noise", type=Path, nargs="*", default=[])
    parser.add_argument("--voices", help="synthesisers, with commas between (default: all that are installed)")
    parser.add_argument("--updates", type=int, default=1000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [row for span in SPANS for row in measured(span, options)]
    write_csv(options.out / "spans.csv", rows)
    head = ["span s", "phonemes", "wanted per hour", "condition"]
    cells = [
        [str(row[name]) for name in head] + [estimate(row, "miss %", 1), f"{row.get(DELAY, 0):.2f}"] for row in rows
    ]
    print(table([[*head, "miss %", DELAY], *cells]))


if __name__ == "__main__":
    main()
