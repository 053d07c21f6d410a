"""The texts that a search finds for utterances, and what each judge of them says: the material for tuning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.align.segment import SHARE
from asr.attention.joint import AttentionJudge, JointModel
from asr.language.rnn import PACKAGED, RnnScorer, load
from asr.model.streaming import Posteriors
from asr.score import errors
from asr.search.decoder import Decoder, DecoderOptions, letter_scores
from asr.search.options import Weights
from asr.training.data import Utterance, read_samples


@dataclass(frozen=True)
class Candidates:
    """The texts found for an utterance."""

    wrong: np.ndarray  # (N,) words wrong in each
    scores: np.ndarray  # (N,) by the search
    judged: dict[str, np.ndarray]  # name of a weight -> (N,) what is multiplied by it

    def errors(self, weights: Weights) -> int:
        """Words wrong in the text with the best score."""
        return int(self.wrong[np.argmax(self._totals(weights))])

    def risk(self, weights: Weights) -> float:
        """Words wrong that are to be expected, where scores stand for probabilities."""
        shares = np.exp(SHARE * (self._totals(weights) - self._totals(weights).max()))
        return float(shares @ self.wrong / shares.sum())

    def _totals(self, weights: Weights) -> np.ndarray:
        return self.scores + sum(getattr(weights, name) * values for name, values in self.judged.items())


class Lister:
    """Searches utterances whose log-probabilities are known; a text is judged once, however often it is found."""

    def __init__(
        self, model: JointModel, card: dict, utterances: Sequence[Utterance], posteriors: Sequence[Posteriors]
    ):
        self.model, self.card, self.utterances, self.posteriors = model, card, utterances, posteriors
        self._rnn = load() if PACKAGED.exists() else None
        self._by_letters: defaultdict[int, dict[str, float]] = defaultdict(dict)  # of each utterance
        self._by_rnn: dict[str, float] = {}

    def __call__(self, options: DecoderOptions, chosen: Sequence[int], attention: bool = False) -> list[Candidates]:
        """The candidates for some utterances, those of the lexicon judged by letters and recurrent model.

        attention: have all of them judged by the attention decoder, too.
        """
        weights, in_lexicon = options.weights, options.lexicon and options.lm and bool(self.model.options.phonemes)
        if in_lexicon:
            weights = replace(weights, letters=0.0, rnn=0.0)
        decoder = Decoder(self.model, self.card, replace(options, weights=weights, n_best=options.candidates))
        return [self._candidates(decoder, i, in_lexicon, attention) for i in chosen]

    def _candidates(self, decoder: Decoder, i: int, in_lexicon: bool, attention: bool) -> Candidates:
        found, said = decoder(*self.posteriors[i]), self.utterances[i].text.split()
        texts, judged = [h.text for h in found], {}
        if in_lexicon:
            judged["letters"] = self._letters(i, texts)
        if in_lexicon and self._rnn:
            judged["rnn"] = self._recurrent(self._rnn, texts) - np.array([h.language for h in found])
        if attention:
            judged["attention"] = self._attention(i, texts)
        wrong = np.array([errors(said, text.split()) for text in texts])
        return Candidates(wrong, np.array([h.score for h in found]), judged)

    def _letters(self, i: int, texts: list[str]) -> np.ndarray:
        known = self._by_letters[i]
        new = [text for text in texts if text not in known]
        known.update(zip(new, letter_scores(self.posteriors[i][0], new, self.model.alphabet)))
        return np.array([known[text] for text in texts])

    def _recurrent(self, rnn: RnnScorer, texts: list[str]) -> np.ndarray:
        new = [text for text in texts if text not in self._by_rnn]
        self._by_rnn.update(zip(new, rnn.ln_probability(new)))
        return np.array([self._by_rnn[text] for text in texts])

    def _attention(self, i: int, texts: list[str]) -> np.ndarray:
        frames = self.model.frontend(read_samples(self.utterances[i]))
        return np.array(AttentionJudge(self.model, 1.0).ln_probability(frames, slice(None), texts))
