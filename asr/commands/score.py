"""The command `asr score`: how far transcripts are from what was said."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from asr.commands.score_input import ScoreError, Text, match, normaliser, read_texts
from asr.commands.score_report import Scored, as_json, as_text
from asr.commands.terminal import say
from asr.score import unwritable


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
        )
    if lacks:
        what = "left out" if missing == "skip" else "all their words deleted"
        say(f"{path} lacks {len(lacks)} utterances, {what}, {_some(lacks)}")


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])} the first" if len(names) > 3 else ", ".join(names)
