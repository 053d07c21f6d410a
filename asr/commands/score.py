"""The command `asr score`: how far transcripts are from what was said."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asr.commands.score_input import ScoreError, Text, match, normaliser, read_texts
from asr.commands.terminal import say, table
from asr.score import Edits, Pair, align, compare, count, interval, rate, unwritable
from asr.training.corpora import UNKNOWN

RED, GREEN, YELLOW, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
GROUPS = 12  # speakers shown


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


def as_json(systems: Sequence[Scored]) -> dict:
    """Everything, for programs: rates in per cent."""
    rows = []
    for system in systems:
        groups = {kind: {name: summary(system, chosen) for name, chosen in _groups(system.texts, kind).items()}
                  for kind in ("corpus", "speaker")}  # fmt: skip
        each = [{"name": _name(t, i), **vars(e)} for i, (t, e) in enumerate(zip(system.texts, system.edits))]
        pairs = [{"reference": r, "hypothesis": h, "count": n} for (r, h), n in confusions([system]).most_common()]
        rows.append({"file": system.name, **summary(system), **groups, "confusions": pairs, "each": each})
    against = [{"file": s.name, **comparison(systems[0], s)} for s in systems[1:]]
    return {"systems": rows, "against_first": against}


def as_text(systems: Sequence[Scored], worst: int, pairs: int, coloured: bool, in_order: bool = False) -> str:
    blocks = [_rates(systems), *_grouped(systems, "corpus"), *_grouped(systems, "speaker")]
    if pairs and (found := confusions(systems[-1:])):
        shown = [(n, r or "(nothing)", "→", h or "(nothing)") for (r, h), n in found.most_common(pairs)]
        title = "errors" if len(systems) == 1 else f"errors of {chr(64 + len(systems))}"
        blocks.append(table([(title, "said", "", "heard"), *shown]))
    blocks += list(_utterances(systems, worst, coloured, in_order))
    blocks += [_verdict(systems[0], system, chr(65 + n)) for n, system in enumerate(systems[1:], start=1)]
    return "\n\n".join(blocks)


def _rates(systems: Sequence[Scored]) -> str:
    rows: list[tuple] = [("WER %", "95 % interval", "substituted", "deleted", "inserted", "CER %", "without error %",
             "utterances", "words", "")]  # fmt: skip
    for letter, system in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", systems):
        s, name = summary(system), f"{letter}: {system.name}" if len(systems) > 1 else system.name
        shown = [f"{s[k]:.1f}" for k in ("substituted", "deleted", "inserted", "cer", "correct")]
        rows.append((f"{s['wer']:.2f}", _span(s), *shown, s["utterances"], s["words"], name))
    return table(rows)


def _span(s: dict[str, float]) -> str:
    return f"{s['low']:.1f} to {s['high']:.1f}" if s["utterances"] > 1 else "-"


def _grouped(systems: Sequence[Scored], kind: str) -> Iterator[str]:
    groups = _groups(systems[0].texts, kind)
    if len(groups) < 2:
        return
    rows = [(name, [summary(s, chosen) for s in systems]) for name, chosen in groups.items()]
    rows.sort(key=lambda row: -row[1][0]["wer"])
    hidden = max(0, len(rows) - GROUPS) if kind == "speaker" else 0
    head = [f"WER % {chr(65 + n)}" if len(systems) > 1 else "WER %" for n in range(len(systems))]
    lines: list[tuple] = [(kind, *(h for name in head for h in (name, "95 % interval")), "utterances", "words")]
    for name, found in rows[: len(rows) - hidden]:
        cells = [c for s in found for c in (f"{s['wer']:.1f}", _span(s))]
        lines.append((name, *cells, found[0]["utterances"], found[0]["words"]))
    yield table(lines) + (f"\n... and {hidden} more with fewer errors (--format json has all)" if hidden else "")


def _groups(texts: Sequence[Text], kind: str) -> dict[str, list[int]]:
    groups = defaultdict(list)
    for i, text in enumerate(texts):
        groups[getattr(text, kind)].append(i)
    return {} if set(groups) == {UNKNOWN} else dict(groups)


def confusions(systems: Sequence[Scored]) -> Counter[Pair]:
    return Counter(pair for s in systems for pairs in s.words for pair in pairs if pair[0] != pair[1])


def _utterances(systems: Sequence[Scored], worst: int, coloured: bool, in_order: bool) -> Iterator[str]:
    """Alignments of those with most errors; of several systems, those on which the last differs most from the first."""
    gaps = systems[-1].wrong - (systems[0].wrong if len(systems) > 1 else 0)
    chosen = [i for i in range(len(gaps)) if gaps[i]]
    if not in_order:
        chosen = sorted(chosen, key=lambda i: (-abs(gaps[i]), i))[:worst]
    for i in chosen:
        text = systems[0].texts[i]
        wrong = " against ".join(str(s.wrong[i]) for s in systems)
        shown = [side_by_side(s.words[i], coloured) for s in systems]
        title = f"{_name(text, i)}, {systems[0].total[i]} words, errors: {wrong}"
        yield "\n".join([title, *shown])


def _name(text: Text, number: int) -> str:
    return text.name or f"line {number + 1}"


def side_by_side(pairs: Sequence[Pair], coloured: bool, width: int = 110) -> str:
    """Word under word: substitutions yellow, deletions red, insertions green; without colour, capitals.

    Two lines, or as many pairs of them as the width (characters) makes necessary.
    """
    rows: list[list[str]] = [[], []]
    lines, room = [], width
    for r, h in pairs:
        size = max(len(r), len(h))
        if size > room and rows[0]:
            lines, rows, room = lines + _two_lines(rows), [[], []], width
        cells = [c.ljust(size) if c else "*" * size for c in (r, h)]
        if r != h:
            colour = YELLOW if r and h else RED if r else GREEN
            cells = [f"{colour}{c}{PLAIN}" if coloured else c.upper() for c in cells]
        rows = [row + [cell] for row, cell in zip(rows, cells)]
        room -= size + 1
    return "\n".join(lines + _two_lines(rows))


def _two_lines(rows: list[list[str]]) -> list[str]:
    return [f"  {side:5}  {' '.join(cells).rstrip()}" for side, cells in zip(("said", "heard"), rows)]


def _verdict(first: Scored, second: Scored, letter: str) -> str:
    c = comparison(first, second)
    names = (letter, "A") if c["better"] >= 50 else ("A", letter)
    sure = max(c["better"], 100 - c["better"])
    told = f"{sure:.1f} %" if sure < 99.95 else "more than 99.9 %"
    gap = f"{letter} - A: {c['difference']:+.2f} points WER (95 %: {c['low']:+.2f} to {c['high']:+.2f})"
    if c["difference"] == c["low"] == c["high"] == 0:
        return f"{gap}: the two make the same number of errors everywhere"
    return f"{gap}: {names[0]} is better than {names[1]} with {told}"


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


def score(options: argparse.Namespace) -> int:
    """Exit status 0, or 2 when the texts cannot be compared."""
    systems = read_systems(options)
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
    if not any(text.split() for text in wanted):
        raise ScoreError(f"no text of {options.reference} holds a word: there is nothing to compare")
    for path, side in zip((options.reference, *options.hypotheses), (reference, *sides)):
        _tell_unwritable(path, side, options.normalise)
    return [
        Scored.of(path, texts, wanted, [normalised(side[places[i]].text) if i in places else "" for i in kept])
        for path, side, places in zip(options.hypotheses, sides, found)
    ]


def _tell_unwritable(path: str, side: Sequence[Text], normalise: str) -> None:
    """Say which words are compared as they are written."""
    lacking = [word for t in side for word in t.text.split() if unwritable(word)]
    if lacking and normalise == "letters":
        say(
            f"{len(lacking)} words of {path} have digits or letters beside a-z and are compared as they are written, "
            f"{_some(lacking)}: write numbers as they are said"
        )


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
            + ("" if places else ", or `--lines` where the first words of lines are no ids")
        )
    if lacks:
        what = "left out" if missing == "skip" else "all their words deleted"
        say(f"{path} lacks {len(lacks)} utterances, {what}, {_some(lacks)}")


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])} the first" if len(names) > 3 else ", ".join(names)
