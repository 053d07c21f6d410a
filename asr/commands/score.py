"""The command `asr score`: how far transcripts are from what was said."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asr.commands.score_input import ScoreError, Text, match, normaliser, read_texts
from asr.commands.terminal import fail, say
from asr.score import Edits, Pair, align, compare, count, interval, rate


def add_score(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Word and character error rates of transcripts. Files: JSON lines (manifests, `asr transcribe --format json`), "
        "Kaldi's text, plain lines; folders: of .txt or .json results, or a corpus with its audio."
    )
    p.add_argument("reference", metavar="REF", help="what was said")
    p.add_argument("hypotheses", nargs="+", metavar="HYP", help="what was recognised; several are compared")
    p.add_argument("--normalise", choices=("letters", "whisper", "none"), default="letters",
                   help="letters: a-z, apostrophe and space (default); whisper: OpenAI's, English; none")  # fmt: skip
    p.add_argument("--missing", choices=("fail", "empty", "skip"), default="fail",
                   help="utterances that HYP lacks: an error (default), all words deleted, or left out")  # fmt: skip
    p.add_argument("--lines", action="store_true", help="texts have no ids, even if their first words look like some")
    p.add_argument("--worst", type=int, default=5, metavar="N", help="utterances with most errors to show (default: 5)")
    p.add_argument("--pairs", type=int, default=10, metavar="N", help="confusions to show (default: 10)")
    p.add_argument("--align", action="store_true", help="show all utterances with errors, in order")
    p.add_argument("--colour", action="store_true", help="colour the alignments also where no terminal shows them")
    p.add_argument("--format", choices=("txt", "json"), default="txt", help="of the report (default: txt)")
    p.set_defaults(run=score)


@dataclass(frozen=True)
class Scored:
    """One system's words and characters against the reference."""

    name: str
    texts: list[Text]  # of the reference
    words: list[list[Pair]]  # of each utterance
    characters: list[Edits]

    @classmethod
    def of(cls, name: str, texts: list[Text], references: list[str], hypotheses: list[str]) -> Scored:
        words = [align(r.split(), h.split()) for r, h in zip(references, hypotheses, strict=True)]
        characters = [count(align(" ".join(r.split()), " ".join(h.split()))) for r, h in zip(references, hypotheses)]
        return cls(name, texts, words, characters)

    @cached_property
    def edits(self) -> list[Edits]:
        """Of words, in each utterance."""
        return [count(pairs) for pairs in self.words]

    @property
    def wrong(self) -> np.ndarray:
        return np.array([e.total for e in self.edits])

    @property
    def total(self) -> np.ndarray:
        return np.array([e.length for e in self.edits])


def score(options: argparse.Namespace) -> int:
    """Exit status 0, or 2 when the texts cannot be compared."""
    from asr.commands.score_report import as_json, as_text

    try:
        systems = read_systems(options)
    except (ScoreError, OSError) as error:
        return fail(str(error))
    if options.format == "json":
        print(json.dumps(as_json(systems)))
    else:
        coloured = options.colour or sys.stdout.isatty()
        shown = len(systems[0].texts) if options.align else options.worst
        print(as_text(systems, shown, options.pairs, coloured, in_order=options.align))
    return 0


def read_systems(options: argparse.Namespace) -> list[Scored]:
    """All hypotheses on the same utterances. Raises ScoreError."""
    normalised, reference = normaliser(options.normalise), read_texts(options.reference, options.lines)
    sides = [read_texts(path, options.lines) for path in options.hypotheses]
    found = [match(reference, side) for side in sides]
    for path, side, places in zip(options.hypotheses, sides, found):
        _tell_missing(path, reference, side, places, options.missing)
    kept = [i for i in range(len(reference)) if options.missing != "skip" or all(i in places for places in found)]
    if not kept or not any(places for places in found):
        raise ScoreError(f"no utterance of {options.reference} is in {options.hypotheses[0]}: their names differ")
    texts = [reference[i] for i in kept]
    wanted = [normalised(t.text) for t in texts]
    return [
        Scored.of(path, texts, wanted, [normalised(side[places[i]].text) if i in places else "" for i in kept])
        for path, side, places in zip(options.hypotheses, sides, found)
    ]


def _tell_missing(
    path: str, reference: Sequence[Text], side: Sequence[Text], places: dict[int, int], missing: str
) -> None:
    lacks = [t.name for i, t in enumerate(reference) if i not in places]
    matched = set(places.values())
    extra = [t.name for i, t in enumerate(side) if i not in matched]
    if extra:
        say(f"{len(extra)} utterances of {path} are not in the reference and don't count, {_some(extra)}")
    if lacks and missing == "fail":
        raise ScoreError(
            f"{path} lacks {len(lacks)} of the reference's {len(reference)} utterances, {_some(lacks)}: "
            "say `--missing empty` to count their words as deleted, or `--missing skip`"
        )
    if lacks:
        what = "left out" if missing == "skip" else "all their words deleted"
        say(f"{path} lacks {len(lacks)} utterances, {what}, {_some(lacks)}")


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])} the first" if len(names) > 3 else ", ".join(names)


def summary(system: Scored, chosen: Sequence[int] | None = None) -> dict[str, float]:
    """Rates in per cent over all utterances, or the chosen ones."""
    chosen = range(len(system.texts)) if chosen is None else chosen
    nothing = Edits(0, 0, 0, 0)
    words = sum((system.edits[i] for i in chosen), nothing)
    letters = sum((system.characters[i] for i in chosen), nothing)
    wrong, total = system.wrong[list(chosen)], system.total[list(chosen)]
    low, high = interval(wrong, total)
    parts = {name: 100 * part / max(1, words.length) for name, part in vars(words).items() if name != "length"}
    return {
        "utterances": len(chosen), "words": words.length, "wer": 100 * rate(wrong, total), "low": 100 * low,
        "high": 100 * high, **parts, "cer": 100 * letters.total / max(1, letters.length),
        "correct": 100 * float(np.mean(wrong == 0)),
    }  # fmt: skip


def comparison(first: Scored, second: Scored) -> dict[str, float]:
    """Rates in points, the probability in per cent."""
    return {name: 100 * value for name, value in vars(compare(first.wrong, second.wrong, first.total)).items()}
