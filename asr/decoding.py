"""From the two heads' log-probabilities to texts: which search, which models, in what proportion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from asr.checkpoint import MODELS
from asr.ctc import AcousticModel
from asr.lexicon import LexiconOptions, LexiconSearch, Pronunciation, read_lexicon
from asr.ngram import NgramModel
from asr.ngram import load as load_ngram
from asr.partial import Partial, greedy_so_far, letters_so_far, words_so_far
from asr.search import BeamSearch, Hypothesis, SearchOptions, SearchState, greedy
from asr.text import BLANK, Alphabet

LANGUAGE, LEXICON = "english-lm.npz", "english-lexicon.txt.xz"  # packaged beside the acoustic models


@dataclass(frozen=True)
class DecoderOptions:
    beam: int = 48  # prefixes kept by the search; 1 is greedy decoding of the letters
    lm: bool = True  # fuse the language model
    lexicon: bool = True  # search words by their phonemes, and let the letters judge the best of them
    n_best: int = 1  # texts for every segment
    candidates: int = 16  # of the lexicon search, that the letters judge
    letter_weight: float = 0.3  # of their ln probability by the letters
    letters: SearchOptions = SearchOptions()  # of the search in letters
    letter_prior: float = 0.5  # weight of the prior that the letters are divided by, in that search
    words: LexiconOptions = LexiconOptions()  # of the search in the lexicon


class Decoder:
    """Log-probabilities of letters (T, V) and phonemes (T, P) -> the likeliest texts, best first.

    Three ways, by what the options ask for and the model has: greedy, prefix beam search in letters,
    search in a lexicon of pronunciations whose n-best list is rescored by the letters.
    """

    def __init__(self, model: AcousticModel, priors: dict[str, list[float]], options: DecoderOptions):
        """priors: ln of each head's mean output over speech, from the model's card; {} does without."""
        self.alphabet, self.options = model.alphabet, options
        self._priors = {head: np.array(values, np.float32) for head, values in priors.items()}
        self.lm = _language(MODELS / LANGUAGE) if options.lm and options.beam > 1 else None
        self._search: BeamSearch | None = None
        self._said: dict[str, str] = {}  # how each word is pronounced
        self._columns = {p: i for i, p in enumerate(model.options.phonemes, start=1)}
        self._in_lexicon = bool(self.lm and options.lexicon and model.options.phonemes and (MODELS / LEXICON).exists())
        if self._in_lexicon:
            words, pronunciations = replace(options.words, beam=options.beam), _lexicon(MODELS / LEXICON)
            self._said = dict(reversed(pronunciations))  # the first of several
            self._search = LexiconSearch(
                model.options.phonemes, pronunciations, self.lm, words, self._priors.get("phonemes")
            )
        elif options.beam > 1:
            self._search = BeamSearch(model.alphabet, replace(options.letters, beam=options.beam), self.lm)

    def __call__(self, letters: np.ndarray, phonemes: np.ndarray | None) -> list[Hypothesis]:
        return self.finish(self.feed(self.start(), letters, phonemes), letters)

    def pronounced(self, text: str) -> list[list[int]]:
        """The phonemes of each word, as columns; empty where the lexicon lacks a word, or is not searched."""
        said = [self._said.get(word) for word in text.split()]
        return [] if None in said else [[self._columns[p] for p in phonemes.split()] for phonemes in said]

    # The same for a stream: finish(feed(start(), letters, phonemes), letters), with any number of feeds.

    def start(self) -> SearchState | None:
        return self._search.start() if self._search else None

    def feed(self, state: SearchState | None, letters: np.ndarray, phonemes: np.ndarray | None) -> SearchState | None:
        """The state after the next frames, (T, V) and (T, P)."""
        if self._search is None:
            return None
        if self._in_lexicon:
            return self._search.feed(state, phonemes)
        return self._search.feed(
            state, letters - self.options.letter_prior * self._priors.get("letters", np.float32(0))
        )

    def so_far(self, state: SearchState | None, letters: np.ndarray) -> Partial:
        """The words to show; letters (T, V) of all frames since the start."""
        if self._search is None:
            return greedy_so_far(greedy(letters, self.alphabet).text)
        if self._in_lexicon:
            return words_so_far(state, self._search)
        return letters_so_far(state, self.alphabet)

    def finish(self, state: SearchState | None, letters: np.ndarray) -> list[Hypothesis]:
        """The likeliest texts, best first; letters (T, V) of all frames since the start."""
        if self._search is None:
            return [greedy(letters, self.alphabet)]
        if not self._in_lexicon:
            return self._search.best(state, self.options.n_best)
        found = self._search.best(state, max(self.options.candidates, self.options.n_best))
        by_letters = letter_scores(letters, [h.text for h in found], self.alphabet)
        scores = [h.score + self.options.letter_weight * s for h, s in zip(found, by_letters)]
        ranked = sorted(zip(found, scores), key=lambda pair: -pair[1])
        return [replace(h, score=s) for h, s in ranked[: self.options.n_best]]


def letter_scores(log_probs: np.ndarray, texts: list[str], alphabet: Alphabet) -> list[float]:
    """ln probability of each text by CTC over the letters (T, V); very low for a text that does not fit."""
    if not len(log_probs):
        return [-1e6 if text else 0.0 for text in texts]
    targets = [alphabet.encode(t) for t in texts]
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(log_probs)[:, None].expand(-1, len(texts), -1),
        torch.tensor([i for t in targets for i in t], dtype=torch.long),
        torch.full((len(texts),), len(log_probs)),
        torch.tensor([len(t) for t in targets]),
        BLANK,
        reduction="none",
    )
    return (-loss.clamp(max=1e6)).tolist()


@cache
def _language(path: Path) -> NgramModel | None:
    return load_ngram(path) if path.exists() else None


@cache
def _lexicon(path: Path) -> list[Pronunciation]:
    return read_lexicon(path)
