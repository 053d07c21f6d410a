"""Score a model on AN4: greedy, and with an n-gram model and a lexicon of the training transcripts.

    python -m recipes.an4.evaluate RUN/model.safetensors an4-train.jsonl an4-test.jsonl

Weights are tuned on the part of the training set that `asr train` held out, with an n-gram model of the rest.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from asr.commands.train import HELD_OUT, MOST
from asr.errors import Error
from asr.language import kneser_ney
from asr.language.ngram import NgramModel
from asr.model.interface import AcousticModel
from asr.model.onnx import load_model
from asr.model.streaming import Posteriors
from asr.score import rate, word_errors
from asr.search.base import LexiconOptions, SearchOptions, greedy
from asr.search.decoder import letter_scores
from asr.search.letters import LetterSearch
from asr.search.lexicon import Pronunciation
from asr.search.tree import LexiconSearch
from asr.training import corpora
from asr.training.config import read_lexicon
from asr.training.corpora import hold_out
from asr.training.data import Utterance
from asr.training.run import all_posteriors
from recipes.english.evaluate import report

LM_WEIGHTS, BONUSES, LETTERS = (0.5, 1.0, 1.5), (0.0, 1.5), (0.0, 0.5)  # what is tried
Decode = Callable[[np.ndarray, np.ndarray | None], str]


class Systems:
    """The searches over a model's outputs, each with its weights."""

    def __init__(self, model: AcousticModel, priors: dict[str, list[float]], lines: list[str]):
        """lines: the transcripts that language model and vocabulary are of."""
        self.model, self.priors = model, {k: np.array(v, np.float32) for k, v in priors.items()}
        self.lm: NgramModel = kneser_ney.train(lines, kneser_ney.TrainingOptions(order=3))
        said, words = read_lexicon(None), sorted({w for line in lines for w in line.split()})
        self.said: list[Pronunciation] = [(w, " ".join(p)) for w in words if (p := said.pronounce(w))]

    def greedy(self) -> Iterator[Decode]:
        yield lambda letters, _: greedy(letters, self.model.alphabet).text

    def letters(self) -> Iterator[Decode]:
        for weight, bonus in itertools.product(LM_WEIGHTS, BONUSES):
            search = LetterSearch(self.model.alphabet, SearchOptions(lm_weight=weight, word_bonus=bonus), self.lm)
            yield partial(self._best_by_letters, search)

    def words(self) -> Iterator[Decode]:
        phonemes, prior = self.model.options.phonemes, self.priors.get("phonemes")
        for weight, bonus, share in itertools.product(LM_WEIGHTS, BONUSES, LETTERS):
            options = LexiconOptions(lm_weight=weight, word_bonus=bonus)
            search = LexiconSearch(phonemes, self.said, self.lm, options, prior)
            yield partial(self._best, search, share)

    def _best_by_letters(self, search: LetterSearch, letters: np.ndarray, _: np.ndarray | None) -> str:
        return search(letters)[0].text

    def _best(self, search: LexiconSearch, share: float, letters: np.ndarray, by_phoneme: np.ndarray | None) -> str:
        assert by_phoneme is not None  # see `all`
        found = search(by_phoneme, n=16)
        by_letters = letter_scores(letters, [h.text for h in found], self.model.alphabet)
        return max(zip(found, by_letters), key=lambda pair: pair[0].score + share * pair[1])[0].text

    def all(self) -> dict[str, Callable[[], Iterator[Decode]]]:
        found = {"greedy": self.greedy, "letters + 3-gram": self.letters}
        return found | ({"lexicon + 3-gram + letters": self.words} if self.model.options.phonemes else {})


def tuned(systems: Callable[[], Iterable[Decode]], posteriors: list[Posteriors], utterances: list[Utterance]) -> int:
    """The number of the weights with the fewest word errors."""
    references = [u.text for u in utterances]
    return int(np.argmin([rate(*word_errors(references, [d(*h) for h in posteriors])) for d in systems()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("train", type=Path, help="what the model was trained on")
    parser.add_argument("test", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        model, card = load_model(options.model)
        train, test = corpora.read(options.train), corpora.read(options.test)
    except Error as error:
        sys.exit(f"evaluate: {error}")
    priors = card.get("log_priors", {})
    rest, dev = hold_out(train, HELD_OUT, MOST)
    tuning, whole = (Systems(model, priors, [u.text for u in part]) for part in (rest, train))
    dev_posteriors, posteriors = all_posteriors(model, dev), all_posteriors(model, test)
    unknown = [w for u in test for w in u.text.split() if w not in {w for w, _ in whole.said}]
    print(f"{len(unknown)} of {sum(len(u.text.split()) for u in test)} test words are not in the lexicon\n")
    print("| search | WER % (95 %) |\n|---|---|")
    for name, systems in whole.all().items():
        chosen = tuned(tuning.all()[name], dev_posteriors, dev)
        decode = next(itertools.islice(systems(), chosen, None))
        print(f"| {name} | {report(test, [decode(*h) for h in posteriors]).split(' | ')[0]} |", flush=True)


if __name__ == "__main__":
    main()
