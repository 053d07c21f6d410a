"""Measure the trained models on held-out sentences: BLEU, chrF, BLEU by length, and whose fault errors are.

    python -m recipes.translation.evaluate DATA/text/fra-eng.txt.xz WORK --every 3

Writes WORK/*.jsonl (what each model and search wrote; what is there already is not translated again), WORK/lengths.png
and WORK/map.png, and prints the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.attention.search import SearchOptions
from asr.attention.seq2seq import KINDS, Seq2Seq
from asr.errors import Error
from asr.files import atomic_write_bytes
from recipes.translation.data import read_pairs, references, split
from recipes.translation.pictures import draw_lengths, draw_map
from recipes.translation.scores import bleu_interval, chrf, counts, gain

SEARCHES = {
    "greedy": SearchOptions(beam=1),
    "beam 4": SearchOptions(beam=4),
    "beam 10": SearchOptions(beam=10),
    "beam 10, not normalised": SearchOptions(beam=10, length=0.0),
}
MAIN = "beam 4"  # the search that pictures and comparisons are of
LENGTHS = [(1, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 14), (15, 100)]  # words of the French sentence
LONG_WORDS = 12
EXAMPLES = (
    "Jane visite l'Afrique en septembre.",  # the lecture's
    "Elle a acheté une voiture rouge hier.",  # of which the map is
)
NAMES = {"additive": "additive attention", "dot": "dot-product attention", "none": "no attention"}


@dataclass(frozen=True)
class Test:
    """Sentences that nothing was trained on, and what is right."""

    sources: list[str]
    references: list[list[str]]

    def words(self) -> np.ndarray:
        return np.array([len(source.split()) for source in self.sources])


def translations(model: Seq2Seq, sources: Sequence[str], options: SearchOptions, path: Path) -> list[dict]:
    """Text and score of each source; from the file if it has them, else into it."""
    if path.exists():
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        if [row["source"] for row in rows] == list(sources):
            return rows
    best = [(source, model(source, options)[0]) for source in sources]
    rows = [{"source": s, "text": b.text, "score": b.score, "symbols": len(b.symbols)} for s, b in best]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic_write_bytes(path, text.encode())
    return rows


def overview(test: Test, written: dict[tuple[str, str], list[dict]]) -> Iterator[str]:
    """BLEU and chrF of each model and search."""
    yield "| model | search | BLEU | long sentences | chrF | longer than the reference |\n|---|---|---|---|---|---|"
    long = test.words() >= LONG_WORDS
    for (kind, search), rows in written.items():
        texts = [row["text"] for row in rows]
        found = counts(texts, test.references)
        longer = 100 * found[:, -2].sum() / found[:, -1].sum() - 100
        cells = [shown(bleu_interval(found)), shown(bleu_interval(found[long])), f"{chrf(texts, test.references):.1f}"]
        yield f"| {NAMES[kind]} | {search} | {' | '.join(cells)} | {longer:+.1f} % |"


def by_length(test: Test, found: dict[str, np.ndarray], path: Path) -> Iterator[str]:
    """BLEU by the number of French words, and the picture of it."""
    words, curves = test.words(), {}
    inside = [(low <= words) & (words <= high) for low, high in LENGTHS]
    labels = [f"{low}-{high}" if high < LENGTHS[-1][1] else f"{low}+" for low, high in LENGTHS]
    yield "| words | " + " | ".join(labels) + " |\n|---" + "|---" * len(labels) + "|"
    yield "| sentences | " + " | ".join(str(some.sum()) for some in inside) + " |"
    for kind, each in found.items():
        curves[NAMES[kind]] = [bleu_interval(each[some]) for some in inside]
        yield f"| {NAMES[kind]} | " + " | ".join(f"{value:.1f}" for value, _, _ in curves[NAMES[kind]]) + " |"
    draw_lengths(labels, curves, path)


def faults(model: Seq2Seq, test: Test, rows: list[dict], options: SearchOptions, most: int) -> str:
    """The lecture's question, of the first wrong translations: does the model like a reference better than its own?

    If it does, the search has missed it; if not, the model is wrong.
    """
    wrong = [i for i, row in enumerate(rows) if row["text"] not in test.references[i]][:most]
    search = 0
    for i in wrong:
        ln_ps = model.ln_probability(test.sources[i], test.references[i])
        symbols = [len(model.target.split(reference)) + 1 for reference in test.references[i]]
        best = max(ln_p / n**options.length for ln_p, n in zip(ln_ps, symbols))
        search += best > rows[i]["score"] + 1e-4
    return f"{len(wrong)} | {100 * search / max(1, len(wrong)):.1f} % | {100 - 100 * search / max(1, len(wrong)):.1f} %"


def shown(value: tuple[float, float, float]) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*value)


def evaluate(work: Path, test: Test, most_faults: int) -> Iterator[str]:
    """The tables, line by line. Raises Error."""
    models = {kind: Seq2Seq.load(work / kind / "model.safetensors") for kind in KINDS}
    written = {
        (kind, name): translations(model, test.sources, search, work / f"{kind}-{name.replace(' ', '-')}.jsonl")
        for kind, model in models.items()
        for name, search in SEARCHES.items()
    }
    yield from overview(test, written)
    found = {kind: counts([row["text"] for row in written[kind, MAIN]], test.references) for kind in models}
    long = test.words() >= LONG_WORDS
    yield f"\n{MAIN}, BLEU gained by attention, all sentences, and those of {LONG_WORDS} words and more:"
    for kind in ("additive", "dot"):
        gains = [shown(gain(found["none"][some], found[kind][some])) for some in (long | True, long)]
        yield f"{NAMES[kind]}: {gains[0]}, {gains[1]}"
    yield ""
    yield from by_length(test, found, work / "lengths.png")
    yield "\n| search | wrong translations | the search's fault | the model's |\n|---|---|---|---|"
    for name, search in SEARCHES.items():
        yield f"| {name} | {faults(models['additive'], test, written['additive', name], search, most_faults)} |"
    yield ""
    for example in EXAMPLES:
        output = models["additive"](example, SEARCHES[MAIN])[0]
        yield f"{example} -> {output.text}"
    draw_map(output, work / "map.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="lines of English, a tab, French; .xz or not")
    parser.add_argument("work", type=Path, help="folder of the models")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the test sentences take each N-th only")
    parser.add_argument("--faults", type=int, default=500, metavar="N", help="wrong translations to ask about")
    options = parser.parse_args()
    try:
        right = references(split(read_pairs(options.pairs)).test)
        sources = list(right)[:: options.every]
        for line in evaluate(options.work, Test(sources, [right[source] for source in sources]), options.faults):
            print(line, flush=True)
    except (Error, OSError) as error:
        sys.exit(f"evaluate: {error}")


if __name__ == "__main__":
    main()
