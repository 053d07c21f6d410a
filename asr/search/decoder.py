"""From the two heads' log-probabilities to texts: which search, which models, in what proportion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from asr.language.characters import CharacterLanguage
from asr.language.ngram import NgramModel
from asr.language.ngram import load as load_ngram
from asr.language.open import CharacterNgrams, LanguageError, NgramLanguage, open_language
from asr.language.rnn import PACKAGED, RnnScorer
from asr.language.rnn import load as load_recurrent
from asr.model.checkpoint import MODELS
from asr.model.interface import AcousticModel
from asr.search.base import BeamSearch, Hypothesis, LanguageModel, SearchOptions, greedy
from asr.search.boosted_language import HotwordLanguageModel
from asr.search.commands import CommandSet, pronounced
from asr.search.compiled import lexicon_search
from asr.search.ctc_score import ctc_scores
from asr.search.hotwords import Hotword, HotwordError, HotwordScorer
from asr.search.letter_to_sound import guess
from asr.search.lexicon import LEXICON, Pronunciation, read_lexicon
from asr.search.partial import Partial, greedy_so_far, letters_so_far, words_so_far
from asr.search.weights import Weights, weights_for
from asr.search.words import LexiconOptions, LexiconSearch
from asr.text import LETTERS, Alphabet

LANGUAGE = "english-lm.npz"  # packaged beside the acoustic models, or not
LEXICON_BEAM, LETTERS_BEAM = 256, 64  # prefixes; the search in letters runs in Python
MAX_SCORE_GAP_LN = 8.0  # ln; texts so far below the best one are not shown to the recurrent language model
State = Any  # a search's own; a grammar's; None of greedy decoding


@dataclass(frozen=True)
class DecoderOptions:
    """Which search, with which models and which words to expect; scores are natural logarithms."""

    beam: int | None = None  # prefixes kept by the search; None: what suits it; 1 is greedy decoding of the letters
    lm: bool = True  # fuse a language model
    lexicon: bool = True  # search words by their phonemes, and let the letters judge the best of them
    n_best: int = 1  # texts for every segment
    candidates: int = 16  # of the lexicon search, that the letters judge
    language: str | None = None  # file with an n-gram model, of words or of characters; None: the packaged one
    weights: Weights = Weights()  # of the parts of a score; what is left out is on the model's card, or a default
    hotwords: tuple[Hotword, ...] = ()  # words and phrases to expect
    commands: tuple[str, ...] | None = None  # nothing but these is said; None: anything is
    rejection: float = 2.5  # ln a letter, that a command may be below the best free path; see asr.search.commands

    def __post_init__(self):
        """Raises ValueError, HotwordError."""
        if self.beam is not None and self.beam < 1:
            raise ValueError(f"a search keeps one prefix at least, not {self.beam}: give a beam of 1 or more")
        if self.hotwords and (self.beam == 1 or self.commands is not None):
            raise HotwordError("hotwords need a search: give a beam above 1, and no commands")


class Decoder:
    """Log-probabilities of letters (T, V) and phonemes (T, P) -> the likeliest texts, best first.

    Four ways, by what the options ask for and the model has: greedy, prefix beam search in letters,
    search in a lexicon of pronunciations whose n-best list is rescored by the letters and the recurrent language
    model, choice from a closed set of commands.
    """

    def __init__(self, model: AcousticModel, card: dict, options: DecoderOptions):
        """card: of the model, with ln of each head's mean output over speech and with weights; {} does without.

        Raises CheckpointError, WeightError, NgramError, LanguageError, LexiconError, HotwordError of the modules here.
        """
        self.alphabet, self.options = model.alphabet, options
        self._priors = {head: np.array(values, np.float32) for head, values in card.get("log_priors", {}).items()}
        searched = options.beam != 1 and options.commands is None
        self.lm = _language(options.language) if options.lm and searched else None
        self._search: BeamSearch | LexiconSearch | None = None
        self._rnn = None
        self._command_set: CommandSet | None = None
        self._said: dict[str, str] = {}  # how each word is pronounced
        self._phonemes = model.options.phonemes
        self._columns = {p: i for i, p in enumerate(self._phonemes, start=1)}
        with_lexicon = bool(options.lexicon and self._phonemes and LEXICON.exists())
        words = self.lm if isinstance(self.lm, NgramModel) and with_lexicon else None
        self._in_lexicon = words is not None
        self.weights = weights_for(self.search, options.weights, card)
        if options.commands is not None:
            lexicon = _ways() if with_lexicon else {}
            spoken = {word for command in options.commands for word in command.split()} if lexicon else set()
            self._said = {w: ways[0] for w in spoken if (ways := pronounced(w, lexicon))}
            self._command_set = CommandSet(
                options.commands, self.alphabet, self._phonemes if lexicon else (), lexicon, options.rejection
            )
        elif words:
            self._search = self._lexicon_search(words)
            weight = options.weights.rnn if options.language else self.weights.rnn  # it knows the packaged one's texts
            self._rnn = _recurrent() if weight else None
        elif options.beam != 1:
            self._search = self._letter_search()

    def _lexicon_search(self, lm: NgramModel) -> LexiconSearch:
        pronunciations, hotwords = _lexicon(), HotwordScorer(self.options.hotwords)
        self._said = dict(reversed(pronunciations))  # the first of several
        own = [w for w in lm.words if set(w) <= set(LETTERS) and w != "'"] if self.options.language else []
        unlisted = [word for word in dict.fromkeys([*hotwords, *own]) if word not in self._said]
        new = [(word, said) for word in unlisted for said in guess(word, _ways())]
        self._said |= dict(reversed(new))
        w, prior = self.weights.given, self._priors.get("phonemes")
        beam = self.options.beam or LEXICON_BEAM
        words = LexiconOptions(beam, lm_weight=w["lm"], word_bonus=w["word"], prior_weight=w["prior"])
        return lexicon_search(self._phonemes, [*pronunciations, *new], lm, words, prior, hotwords)

    def _letter_search(self) -> BeamSearch:
        lm: LanguageModel | None = self.lm
        letters, w = SearchOptions(beam=self.options.beam or LETTERS_BEAM, word_bonus=0.0), self.weights.given
        if lm:
            letters = replace(letters, lm_weight=w["lm"], word_bonus=w["word"])
        if self.options.hotwords:
            lm = HotwordLanguageModel(lm, HotwordScorer(self.options.hotwords), letters.lm_weight)
        return BeamSearch(self.alphabet, letters, lm)

    @property
    def search(self) -> str:
        """What weights and calibrations are named after."""
        if self.options.commands is not None:
            return "commands"
        if self.options.beam == 1:
            return "greedy"
        if not self.lm:
            return "letters alone"
        if isinstance(self.lm, CharacterLanguage):
            return "characters"
        return "lexicon" if self._in_lexicon else "letters"

    def __call__(self, letters: np.ndarray, phonemes: np.ndarray | None) -> list[Hypothesis]:
        """Of a whole utterance, (T, V) and (T, P) natural log: the likeliest texts, best first."""
        return self.finish(self.feed(self.start(), letters, phonemes), letters)

    def pronounced(self, text: str) -> list[list[int]]:
        """The phonemes of each word, as columns; empty where a word's pronunciation is not known."""
        words = text.split()
        if not all(word in self._said for word in words):
            return []
        return [[self._columns[p] for p in self._said[word].split()] for word in words]

    # The same for a stream: finish(feed(start(), letters, phonemes), letters), with any number of feeds.

    def start(self) -> State:
        """Before the first frame."""
        return self._search.start() if self._search else None

    def feed(self, state: State, letters: np.ndarray, phonemes: np.ndarray | None) -> State:
        """The state after the next frames, (T, V) and (T, P)."""
        if self._command_set:
            return self._command_set.feed(state, phonemes)
        if self._search is None:
            return None
        if isinstance(self._search, LexiconSearch):
            assert phonemes is not None  # or there would be no search in the lexicon
            return self._search.feed(state, phonemes)
        prior = self.weights.given["prior"] * self._priors.get("letters", np.float32(0))
        return self._search.feed(state, letters - prior)

    def so_far(self, state: State, letters: np.ndarray) -> Partial:
        """The words to show; letters (T, V) of all frames since the start. A command is told when it is whole."""
        if self._command_set:
            return Partial((), 0)
        if self._search is None:
            return greedy_so_far(greedy(letters, self.alphabet).text)
        if isinstance(self._search, LexiconSearch):
            return words_so_far(state, self._search)
        return letters_so_far(state, self.alphabet)

    def likeliest(self, state: State, letters: np.ndarray, settled: int = 0) -> tuple[str, ...]:
        """Of what the lexicon search has found so far the words that the letters like best; () for other searches.

        letters (T, V): of the frames since the first `settled` words, which begin all texts of the beam, have ended.
        """
        if not (isinstance(self._search, LexiconSearch) and self.weights.letters):
            return ()
        found = self._search.best(state, self.options.candidates)
        texts = [h.text.split() for h in found]
        scores = letter_scores(letters, [" ".join(words[settled:]) for words in texts], self.alphabet)
        best = np.argmax([h.score + self.weights.letters * score for h, score in zip(found, scores)])
        return tuple(texts[best])

    def finish(self, state: State, letters: np.ndarray) -> list[Hypothesis]:
        """The likeliest texts, best first; letters (T, V) of all frames since the start."""
        if self._command_set:
            return self._command_set.best(state, letters, self.options.n_best)
        if self._search is None:
            return [greedy(letters, self.alphabet)]
        if not isinstance(self._search, LexiconSearch):
            return self._search.best(state, self.options.n_best)
        found = self._search.best(state, max(self.options.candidates, self.options.n_best))
        texts = [h.text for h in found]
        scores = np.array([h.score for h in found])
        if self.weights.letters:
            scores += self.weights.letters * np.array(letter_scores(letters, texts, self.alphabet))
        if self._rnn:
            near = np.flatnonzero(scores >= scores.max(initial=-np.inf) - MAX_SCORE_GAP_LN)
            others = self._rnn.ln_probability([texts[i] for i in near])
            scores[near] += self.weights.rnn * np.array([new - found[i].language for i, new in zip(near, others)])
        scores = scores.tolist()
        ranked = sorted(zip(found, scores), key=lambda pair: -pair[1])
        return [replace(h, score=s) for h, s in ranked[: self.options.n_best]]


def letter_scores(log_probs: np.ndarray, texts: list[str], alphabet: Alphabet) -> list[float]:
    """ln probability of each text by CTC over the letters (T, V); very low for a text that does not fit."""
    return np.maximum(ctc_scores(log_probs, [alphabet.encode(t) for t in texts]), -1e6).tolist()


@cache
def _language(name: str | None) -> NgramModel | CharacterLanguage | None:
    """The packaged model, if there is one; or that of a file. Raises NgramError, LanguageError."""
    if name is None:
        return load_ngram(MODELS / LANGUAGE) if (MODELS / LANGUAGE).exists() else None
    found = open_language(name)
    if not isinstance(found, NgramLanguage):
        raise LanguageError(f"{name} is a recurrent model: the search takes n-grams, as `asr lm train` makes them")
    return CharacterLanguage(found.model) if isinstance(found, CharacterNgrams) else found.model


@cache
def _lexicon() -> list[Pronunciation]:
    return read_lexicon(LEXICON)


@cache
def _ways() -> dict[str, list[str]]:
    """All pronunciations of each word."""
    found: dict[str, list[str]] = {}
    for word, said in _lexicon():
        found.setdefault(word, []).append(said)
    return found


@cache
def _recurrent() -> RnnScorer | None:
    """The recurrent language model; None where it is not packaged."""
    return load_recurrent(PACKAGED) if PACKAGED.exists() else None
