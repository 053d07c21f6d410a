"""How sure a word is, as a probability that can be taken at its word: logistic regression on what speaks for it.

Raw scores of a recogniser are no probabilities (Jiang 2005; Guo et al. 2017 for neural networks). A calibration is
fitted on speech that the acoustic model has not been trained on (recipes/english/confidence.py), and belongs to that
model: it is kept on its card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.align.words import Aligned, Evidence
from asr.model.checkpoint import CheckpointError
from asr.search.base import Hypothesis, LanguageModel

SHARE = 0.5  # of a hypothesis' score that counts as ln of its probability: search scores are too sure of themselves
SURE = 50.0  # ln of odds beyond which nothing changes


class SearchEvidence(NamedTuple):
    """What the search has to say for a word."""

    share: float  # of the n-best list's probability, by the texts that have the word there
    language: float  # ln of its probability by the language model; 0 without one
    following: float  # the same of the word after it


ALIGNED, HEARD, RECOGNISED = "aligned", "heard", "recognised"
FEATURES = {  # the names of the columns that each calibration weighs
    ALIGNED: Evidence._fields,  # was a given word said here?
    HEARD: Evidence._fields,  # is a word that the search found right? By the audio alone,
    RECOGNISED: Evidence._fields + SearchEvidence._fields,  # and with the rest of the n-best list
}


@dataclass(frozen=True)
class Calibration:
    """Logistic regression: the probability that a word is right, from its features."""

    weights: tuple[float, ...]  # of the features as they are
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (W, F) -> probabilities (W,)."""
        return 1 / (1 + np.exp(-np.clip(features @ np.array(self.weights) + self.bias, -SURE, SURE)))


@dataclass(frozen=True)
class Confidence:
    """The calibrations of a model; without them a word is as sure as its letters' posteriors."""

    calibrations: dict[str, Calibration]

    @classmethod
    def of(cls, card: dict, search: str) -> Confidence:
        """From the card of a model, for words that a search finds. Raises CheckpointError."""
        all_of_them = card.get("confidence", {})
        found = {ALIGNED: all_of_them.get(ALIGNED), **all_of_them.get(search, {})}
        return cls({name: _calibration(name, values) for name, values in found.items() if values})

    def __call__(self, name: str, words: Sequence[Aligned], search: Sequence[SearchEvidence] = ()) -> list[float]:
        """The probability that each word is right; ``search``, if the calibration asks for it, of each word."""
        if not words or name not in self.calibrations:
            return [word.confidence for word in words]
        more: Sequence[tuple[float, ...]] = search or [()] * len(words)
        features = [(*word.evidence, *others) for word, others in zip(words, more, strict=True)]
        return self.calibrations[name](np.array(features)).tolist()


def _calibration(name: str, values: dict) -> Calibration:
    if tuple(values["weights"]) != FEATURES[name]:
        raise CheckpointError(
            "the model's confidence was fitted by another version of this program: "
            "fit it again with python -m recipes.english.confidence"
        )
    return Calibration(tuple(values["weights"].values()), values["bias"])


def search_evidence(
    words: list[str], hypotheses: Sequence[Hypothesis], lm: LanguageModel | None
) -> list[SearchEvidence]:
    """For the words of the best hypothesis, the first of the list."""
    languages = _languages(words, lm)
    return [SearchEvidence(*row) for row in zip(_shares(words, hypotheses), languages, [*languages[1:], 0.0])]


def _shares(words: list[str], hypotheses: Sequence[Hypothesis]) -> list[float]:
    scores = SHARE * np.array([h.score for h in hypotheses])
    odds = np.exp(scores - scores.max())
    shares = np.zeros(len(words))
    for hypothesis, p in zip(hypotheses, odds / odds.sum()):
        for same in Levenshtein.opcodes(words, hypothesis.text.split()):
            if same.tag == "equal":
                shares[same.src_start : same.src_end] += p
    return shares.tolist()


def _languages(words: list[str], lm: LanguageModel | None) -> list[float]:
    if lm is None:
        return [0.0] * len(words)
    scores, state = [], lm.start()
    for word in words:
        score, state = lm.score(state, word)
        scores.append(score)
    return scores
