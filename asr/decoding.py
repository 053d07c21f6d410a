"""From the two heads' log-probabilities to texts: which search, which models, in what proportion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from asr.acoustics import Acoustics
from asr.boosted_language import BoostedLanguage
from asr.checkpoint import MODELS
from asr.forward import ctc_scores
from asr.grammar import Grammar
from asr.hotwords import Boosts, Hotword
from asr.letter_to_sound import guess
from asr.lexicon import Pronunciation, read_lexicon
from asr.lexicon_search import LexiconOptions, LexiconSearch
from asr.ngram import NgramModel
from asr.ngram import load as load_ngram
from asr.partial import Partial, greedy_so_far, letters_so_far, words_so_far
from asr.search import BeamSearch, Hypothesis, SearchOptions, SearchState, greedy
from asr.text import Alphabet

LANGUAGE, LEXICON = "english-lm.npz", "english-lexicon.txt.xz"  # packaged beside the acoustic models
RECURRENT = "english-rnn.safetensors"  # packaged too, or not
State = SearchState | np.ndarray | None  # of a search, of a grammar, of greedy decoding


@dataclass(frozen=True)
class DecoderOptions:
    beam: int = 64  # prefixes kept by the search; 1 is greedy decoding of the letters
    lm: bool = True  # fuse the language model
    lexicon: bool = True  # search words by their phonemes, and let the letters judge the best of them
    n_best: int = 1  # texts for every segment
    candidates: int = 16  # of the lexicon search, that the letters judge
    letter_weight: float = 0.45  # of their ln probability by the letters
    rnn_weight: float = 0.6  # of the language model's share that the recurrent one takes over, where it is packaged
    hotwords: tuple[Hotword, ...] = ()  # words and phrases to expect
    commands: tuple[str, ...] | None = None  # nothing but these is said; None: anything is
    rejection: float = 2.5  # ln a letter, that a command may be below the best free path; see asr.grammar
    letters: SearchOptions = SearchOptions()  # of the search in letters
    letter_prior: float = 0.5  # weight of the prior that the letters are divided by, in that search
    words: LexiconOptions = LexiconOptions()  # of the search in the lexicon


class Decoder:
    """Log-probabilities of letters (T, V) and phonemes (T, P) -> the likeliest texts, best first.

    Four ways, by what the options ask for and the model has: greedy, prefix beam search in letters,
    search in a lexicon of pronunciations whose n-best list is rescored by the letters and the recurrent language
    model, choice from a closed set of commands.
    """

    def __init__(self, model: Acoustics, priors: dict[str, list[float]], options: DecoderOptions):
        """priors: ln of each head's mean output over speech, from the model's card; {} does without."""
        self.alphabet, self.options = model.alphabet, options
        self._priors = {head: np.array(values, np.float32) for head, values in priors.items()}
        self.lm = _language(MODELS / LANGUAGE) if options.lm and options.beam > 1 else None
        self._search: BeamSearch | LexiconSearch | None = None
        self._rnn = None
        self._grammar: Grammar | None = None
        self._said: dict[str, str] = {}  # how each word is pronounced
        self._phonemes = model.options.phonemes
        self._columns = {p: i for i, p in enumerate(self._phonemes, start=1)}
        with_lexicon = bool(options.lexicon and self._phonemes and (MODELS / LEXICON).exists())
        self._in_lexicon = bool(self.lm and with_lexicon and options.commands is None)
        if options.commands is not None:
            lexicon = _ways(MODELS / LEXICON) if with_lexicon else {}
            self._grammar = Grammar(
                options.commands, self.alphabet, self._phonemes if lexicon else (), lexicon, options.rejection
            )
        elif self._in_lexicon:
            self._search = self._lexicon_search()
            by_torch = hasattr(model, "state_dict")  # an exported model does without torch, and so without this one
            self._rnn = _recurrent(MODELS / RECURRENT) if options.rnn_weight and by_torch else None
        elif options.beam > 1:
            self._search = self._letter_search()

    def _lexicon_search(self) -> LexiconSearch:
        pronunciations, boosts = _lexicon(MODELS / LEXICON), Boosts(self.options.hotwords)
        self._said = dict(reversed(pronunciations))  # the first of several
        new = [
            (word, said) for word in boosts if word not in self._said for said in guess(word, _ways(MODELS / LEXICON))
        ]
        self._said |= dict(reversed(new))
        words = replace(self.options.words, beam=self.options.beam)
        prior = self._priors.get("phonemes")
        return LexiconSearch(self._phonemes, [*pronunciations, *new], self.lm, words, prior, boosts)

    def _letter_search(self) -> BeamSearch:
        letters, lm = replace(self.options.letters, beam=self.options.beam), self.lm
        if self.options.hotwords:
            letters = letters if lm else replace(letters, word_bonus=0.0)
            lm = BoostedLanguage(lm, Boosts(self.options.hotwords), letters.lm_weight)
        return BeamSearch(self.alphabet, letters, lm)

    def __call__(self, letters: np.ndarray, phonemes: np.ndarray | None) -> list[Hypothesis]:
        return self.finish(self.feed(self.start(), letters, phonemes), letters)

    def pronounced(self, text: str) -> list[list[int]]:
        """The phonemes of each word, as columns; empty where the lexicon lacks a word, or is not searched."""
        said = [self._said.get(word) for word in text.split()]
        return [] if None in said else [[self._columns[p] for p in phonemes.split()] for phonemes in said]

    # The same for a stream: finish(feed(start(), letters, phonemes), letters), with any number of feeds.

    def start(self) -> State:
        return self._search.start() if self._search else None

    def feed(self, state: State, letters: np.ndarray, phonemes: np.ndarray | None) -> State:
        """The state after the next frames, (T, V) and (T, P)."""
        if self._grammar:
            return self._grammar.feed(state, phonemes)
        if self._search is None:
            return None
        if self._in_lexicon:
            return self._search.feed(state, phonemes)
        return self._search.feed(
            state, letters - self.options.letter_prior * self._priors.get("letters", np.float32(0))
        )

    def so_far(self, state: State, letters: np.ndarray) -> Partial:
        """The words to show; letters (T, V) of all frames since the start. A command is told when it is whole."""
        if self._grammar:
            return Partial((), 0)
        if self._search is None:
            return greedy_so_far(greedy(letters, self.alphabet).text)
        if self._in_lexicon:
            return words_so_far(state, self._search)
        return letters_so_far(state, self.alphabet)

    def finish(self, state: State, letters: np.ndarray) -> list[Hypothesis]:
        """The likeliest texts, best first; letters (T, V) of all frames since the start."""
        if self._grammar:
            return self._grammar.best(state, letters, self.options.n_best)
        if self._search is None:
            return [greedy(letters, self.alphabet)]
        if not self._in_lexicon:
            return self._search.best(state, self.options.n_best)
        found = self._search.best(state, max(self.options.candidates, self.options.n_best))
        texts = [h.text for h in found]
        scores = np.array([h.score for h in found])
        scores += self.options.letter_weight * np.array(letter_scores(letters, texts, self.alphabet))
        if self._rnn:
            others = self._rnn.ln_probability(texts)
            scores += self.options.rnn_weight * np.array([new - h.language for h, new in zip(found, others)])
        scores = scores.tolist()
        ranked = sorted(zip(found, scores), key=lambda pair: -pair[1])
        return [replace(h, score=s) for h, s in ranked[: self.options.n_best]]


def letter_scores(log_probs: np.ndarray, texts: list[str], alphabet: Alphabet) -> list[float]:
    """ln probability of each text by CTC over the letters (T, V); very low for a text that does not fit."""
    return np.maximum(ctc_scores(log_probs, [alphabet.encode(t) for t in texts]), -1e6).tolist()


@cache
def _language(path: Path) -> NgramModel | None:
    return load_ngram(path) if path.exists() else None


@cache
def _lexicon(path: Path) -> list[Pronunciation]:
    return read_lexicon(path)


@cache
def _ways(path: Path) -> dict[str, list[str]]:
    """All pronunciations of each word."""
    found: dict[str, list[str]] = {}
    for word, said in _lexicon(path):
        found.setdefault(word, []).append(said)
    return found


@cache
def _recurrent(path: Path):
    """The recurrent language model; None where it is not packaged."""
    if not path.exists():
        return None
    from asr.rnn_language import load  # it brings torch with it

    return load(path)
