"""From texts to segments: words with times and confidences, without what is taken for noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.align.words import Aligned, AlignError, Evidence, Sound, align
from asr.audio.features import FRAMES_PER_SECOND
from asr.model.checkpoint import CheckpointError
from asr.model.streaming import Posteriors
from asr.search.base import Hypothesis, LanguageModel
from asr.search.decoder import Decoder
from asr.transcript import Segment, Word

SHARE = 0.5  # of a hypothesis' score that counts as ln of its probability: search scores are too sure of themselves
SURE = 50.0  # ln of odds beyond which nothing changes
NOISE_MAX_WORDS = 3  # a segment of so few words is noise where the model doubts them
MIN_WORDS_PER_SECOND = 1.0  # that somebody says who is really speaking


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
    """Logistic regression: the probability that a word is right, from its features.

    Raw scores are no probabilities (Jiang 2005; Guo et al. 2017). It is fitted on speech that the acoustic model has
    not been trained on (recipes/english/confidence.py), belongs to that model and is kept on its card.
    """

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
        all_of_them, found = card.get("confidence", {}), {}
        for name, values in {ALIGNED: all_of_them.get(ALIGNED), **all_of_them.get(search, {})}.items():
            if values and tuple(values["weights"]) != FEATURES[name]:
                raise CheckpointError(
                    "the model's confidence was fitted by another version of this program: "
                    "fit it again with python -m recipes.english.confidence"
                )
            if values:
                found[name] = Calibration(tuple(values["weights"].values()), values["bias"])
        return cls(found)

    def __call__(self, name: str, words: Sequence[Aligned], search: Sequence[SearchEvidence] = ()) -> list[float]:
        """The probability that each word is right; ``search``, if the calibration asks for it, of each word."""
        if not words or name not in self.calibrations:
            return [word.confidence for word in words]
        more: Sequence[tuple[float, ...]] = search or [()] * len(words)
        features = [(*word.evidence, *others) for word, others in zip(words, more, strict=True)]
        return self.calibrations[name](np.array(features)).tolist()


def search_evidence(
    words: list[str], hypotheses: Sequence[Hypothesis], lm: LanguageModel | None
) -> list[SearchEvidence]:
    """For the words of the best hypothesis, the first of the list."""
    languages = [0.0] * len(words)
    if lm is not None:
        state = lm.start()
        for k, word in enumerate(words):
            languages[k], state = lm.score(state, word)
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


class WordAligner:
    """When each word was said and how sure it is: the texts come from the decoder, the calibration from the card."""

    def __init__(self, decoder: Decoder, card: dict):
        """card: of the model. Raises CheckpointError where calibrations on the card are of no use."""
        self.decoder, self.frame_seconds = decoder, decoder.stride / FRAMES_PER_SECOND
        self.confidence = Confidence.of(card, decoder.search)

    def align(
        self, text: str, posteriors: Posteriors, loudness: np.ndarray | None = None, elsewhere: float = np.inf
    ) -> list[Aligned]:
        """The words of a text with their frames. loudness, elsewhere, and what it raises: see asr.align.words.align."""
        letters, phonemes = posteriors
        sound = Sound(phonemes, self.decoder.pronounced(text), loudness, self.decoder.stride)
        return align(letters, text, self.decoder.alphabet, sound, elsewhere)

    def timed(
        self, text: str, posteriors: Posteriors, start: float, loudness: np.ndarray | None = None
    ) -> tuple[Word, ...]:
        """The words of a text, said in frames that begin ``start`` seconds into the stream. Raises AlignError."""
        aligned = self.align(text, posteriors, loudness)
        return self.to_seconds(aligned, start, self.confidence(HEARD, aligned))

    def segment(
        self,
        hypotheses: Sequence[Hypothesis],
        posteriors: Posteriors,
        start: float,
        loudness: np.ndarray,
        least_confidence: float,
    ) -> Segment | None:
        """The best of the hypotheses with its times; None where it says nothing, or nothing that could be trusted: few
        words whose letters' mean confidence (0..1) is below the least. start: s; loudness (n,): dB of every 10 ms.
        """
        best, *others = hypotheses
        try:
            aligned = self.align(best.text, posteriors, loudness)
        except AlignError:  # more letters than frames: the search made up what cannot have been said
            return None
        few = max(NOISE_MAX_WORDS, MIN_WORDS_PER_SECOND * self.frame_seconds * len(posteriors[0]))
        if not aligned or len(aligned) <= few and fmean(a.confidence for a in aligned) < least_confidence:
            return None  # the letters' posteriors: they tell noise from speech better than the calibrated confidence
        if self.decoder.options.commands is not None:  # one of the given texts
            confidences = self.confidence(ALIGNED, aligned)
        else:
            evidence = search_evidence([a.word for a in aligned], hypotheses, self.decoder.lm)
            confidences = self.confidence(RECOGNISED, aligned, evidence)
        words = self.to_seconds(aligned, start, confidences)
        alternatives = tuple(h.text for h in others[: self.decoder.options.n_best - 1])
        return Segment(words[0].start, words[-1].end, words, alternatives)

    def to_seconds(self, words: Sequence[Aligned], start: float, confidences: Sequence[float]) -> tuple[Word, ...]:
        """From frames after ``start`` to seconds."""
        frame = self.frame_seconds
        return tuple(
            Word(a.word, start + frame * a.start_frame, start + frame * a.end_frame, confidence)
            for a, confidence in zip(words, confidences)
        )
