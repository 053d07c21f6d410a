"""Tune what the parts of each search's score count for, and write it on the model's card, where searches look.

    python -m recipes.english.tune DEV.jsonl                       # rewrites the card of the packaged model
    python -m recipes.english.tune DEV.jsonl --dry-run --every 4   # only measures

Of each two utterances the second chooses and the first reports; a search that does not get better there keeps the
weights it has. The model must not have been trained on DEV. Weights of the search itself go up and down by steps,
those of what judges its candidates (letters, recurrent language model, attention decoder) come from a grid. What is
made small are the word errors to be expected over the candidates, less a matter of chance than those of the best text.
Afterwards the confidence, which depends on the search, has to be fitted again: python -m recipes.english.confidence
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from asr.attention.joint import attach_attention, load_joint
from asr.errors import Error
from asr.model.checkpoint import CheckpointError, locate, update_card
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.options import Weights
from asr.training.corpora import read
from asr.training.run import all_posteriors
from recipes.english.candidates import Candidates, Lister

SEARCHES = {  # see asr.search.decoder.Decoder.search
    "lexicon": DecoderOptions(),
    "letters": DecoderOptions(lexicon=False),
    "letters alone": DecoderOptions(lm=False),
}
STEPS = {"lm": 0.1, "word": 0.5, "prior": 0.1}
GRIDS = {
    "letters": [n / 10 for n in range(11)],
    "rnn": [n / 5 for n in range(6)],
    "attention": [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0],
}
LEAST_GAIN = 0.002  # of the risk, for a step to be taken
Scored = tuple[float, Weights]  # word errors to be expected, and the weights they come from


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    try:
        path, utterances = locate(options.model), read(options.manifest)[:: options.every]
        model, card = load_joint(path)
    except Error as error:
        sys.exit(f"tune: {error}")
    try:
        attach_attention(model, path)
    except CheckpointError as error:
        print(f"without attention: {error}", file=sys.stderr)
    lister = Lister(model, card, utterances, all_posteriors(model, utterances))
    print("| search | weights | chosen on | reported on |\n|---|---|---|---|")
    wanted = {name: replace(SEARCHES[name], beam=options.beam) for name in options.only}
    possible = {n: search for n, search in wanted.items() if Decoder(model, card, search).search == n}
    tuned = {name: Tuning(name, search, lister).best().given for name, search in possible.items()}
    if not options.dry_run:
        update_card(path, {"weights": card.get("weights", {}) | tuned})
        print(f"{path}: weights written; fit the confidence again: python -m recipes.english.confidence")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help="speech that the model was not trained on")
    top.add_argument("--model", default="english", help="packaged model or checkpoint; its card is rewritten")
    top.add_argument("--only", nargs="+", choices=SEARCHES, default=tuple(SEARCHES), help="searches to tune")
    top.add_argument("--beam", type=int, default=DecoderOptions.beam)
    top.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    top.add_argument("--dry-run", action="store_true", help="measure, but leave the card as it is")
    return top


class Tuning:
    """The weights of one search."""

    def __init__(self, name: str, options: DecoderOptions, lister: Lister):
        self.name, self.options, self.lister = name, options, lister
        self.halves = [range(first, len(lister.utterances), 2) for first in (1, 0)]  # to choose, to report
        self.words = [sum(len(lister.utterances[i].text.split()) for i in half) for half in self.halves]

    def best(self) -> Weights:
        """Prints lines of the table, too."""
        begin = Decoder(self.lister.model, self.lister.card, self.options).weights
        chosen = climb(begin, cache(lambda weights: judged(self.found(weights, 0), weights, ("letters", "rnn"))))
        before, after = (self.errors([self.found(w, half) for half in (0, 1)], w) for w in (begin, chosen))
        self.line(shown(chosen), before, after)
        if after[1] > before[1]:
            self.line("kept: " + shown(begin), before, before)
            chosen = begin
        return self.with_attention(chosen) if self.lister.model.attention else chosen

    def with_attention(self, weights: Weights) -> Weights:
        lists = [self.found(weights, half, attention=True) for half in (0, 1)]
        before = self.errors(lists, replace(weights, attention=0.0))
        _, weights = judged(lists[0], weights, ("attention",))
        self.line(f"attention {weights.attention:g}, where it is asked", before, self.errors(lists, weights))
        return weights

    def found(self, weights: Weights, half: int, attention: bool = False) -> list[Candidates]:
        return self.lister(replace(self.options, weights=weights), self.halves[half], attention)

    def errors(self, lists: Sequence[list[Candidates]], weights: Weights) -> list[int]:
        return [sum(c.errors(weights) for c in half) for half in lists]

    def line(self, what: str, before: list[int], after: list[int]) -> None:
        cells = [f"{100 * b / n:.2f} -> {100 * a / n:.2f} %" for b, a, n in zip(before, after, self.words)]
        print(f"| {self.name} | {what} | {' | '.join(cells)} |", flush=True)


def climb(begin: Weights, scored: Callable[[Weights], Scored]) -> Weights:
    """One of the search's own weights after the other goes up or down as long as that lowers the risk; two rounds.

    scored: the risk with such weights, and the weights completed by the best ones for the judges.
    """
    best = begin
    for name, step in [step for step in STEPS.items() if getattr(begin, step[0]) is not None] * 2:
        for by in (step, -step):
            while (new := moved(best, name, by)) and scored(new)[0] < (1 - LEAST_GAIN) * scored(best)[0]:
                best = new
    return scored(best)[1]


def moved(weights: Weights, name: str, by: float) -> Weights | None:
    """None where a weight would not be above 0, as those of language model and prior have to be."""
    value = round(getattr(weights, name) + by, 3)
    return replace(weights, **{name: value}) if value > 0 or name == "word" else None


def judged(lists: Sequence[Candidates], weights: Weights, judges: Sequence[str]) -> Scored:
    """The best weights of some judges."""
    names = [name for name in judges if getattr(weights, name) is not None]
    choices = (replace(weights, **dict(zip(names, v))) for v in itertools.product(*(GRIDS[name] for name in names)))
    return min(((sum(c.risk(w) for c in lists), w) for w in choices), key=lambda pair: pair[0])


def shown(weights: Weights) -> str:
    return " ".join(f"{name} {value:g}" for name, value in weights.given.items() if name != "attention")


if __name__ == "__main__":
    main()
