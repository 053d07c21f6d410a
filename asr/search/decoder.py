"""From the two heads' log-probabilities to texts: chooses the search and its models, and rescores what it finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from asr.errors import UsageError
from asr.language.ngram import NgramModel
from asr.language.ngram import load as load_ngram
from asr.language.rnn import PACKAGED, RnnScorer
from asr.language.rnn import load as load_recurrent
from asr.model.checkpoint import MODELS
from asr.model.interface import AcousticModel
from asr.native import search as native
from asr.search.base import Greedy, Hypothesis, LanguageModel, LexiconOptions, Partial, Search, SearchOptions
from asr.search.ctc_paths import ctc_scores
from asr.search.hotwords import CommandSet, Hotword, HotwordScorer
from asr.search.lexicon import Lexicon, packaged
from asr.search.options import DecoderOptions, weights_for
from asr.search.words import MAX_ORDER, CompiledSearch, WordSearch
from asr.text import LETTERS, Alphabet

if TYPE_CHECKING:
    from asr.language.open import CharacterLanguage

LANGUAGE = "english-lm.npz"  # packaged beside the acoustic models, or not
MAX_SCORE_GAP_LN = 4.0  # ln; texts so far below the best one are not shown to the recurrent language model


class State(NamedTuple):
    """Where a decoder stands: a value, so one can go on from it twice."""

    search: Any
    letters: np.ndarray  # (T, V) of all frames so far


class Decoder:
    """Log-probabilities of letters (T, V) and phonemes (T, P) -> the likeliest texts, best first.

    The search is greedy, in letters, in the words of a lexicon, or among commands, by what the options ask for and the
    model has. The texts of a search in words are rescored by the letters and the recurrent language model.
    """

    def __init__(self, model: AcousticModel, card: dict, options: DecoderOptions):
        """card: of the model, with ln of each head's mean output over speech and with weights; {} does without.

        Raises CheckpointError, UsageError.
        """
        self.alphabet, self.options, self.stride = model.alphabet, options, model.options.stride
        self._priors = {head: np.array(values, np.float32) for head, values in card.get("log_priors", {}).items()}
        self._phonemes = model.options.phonemes if options.lexicon else ()
        self._lexicon = _lexicon(self._phonemes, Lexicon(options.pronunciations))
        with_lm = options.lm and options.beam != 1 and options.commands is None
        self.lm = _language(options.language) if with_lm else None
        self.search = self._name()  # of the search: what weights and calibrations on the card are named after
        self.weights = weights_for(self.search, options.weights, card)
        self._search = self._made()
        # the recurrent model knows the texts of the packaged n-grams: beside another one it is asked where that is said
        rnn = options.weights.rnn if options.language else self.weights.rnn
        self._rnn = _recurrent() if rnn else None
        self._columns = {p: i for i, p in enumerate(model.options.phonemes, start=1)}

    def _name(self) -> str:
        if self.options.commands is not None:
            return "commands"
        if self.options.beam == 1:
            return "greedy"
        if not self.lm:
            return "letters alone"
        if not isinstance(self.lm, NgramModel):
            return "characters"
        return "lexicon" if self._lexicon else "letters"

    def _made(self) -> Search:
        """The search of that name."""
        options, weights = self.options, self.weights.given
        if self.search == "greedy":
            return Greedy(self.alphabet)
        if self.search == "commands":
            phonemes = self._phonemes if self._lexicon else ()
            return CommandSet(options.commands or (), self.alphabet, phonemes, self._lexicon, options.rejection)
        if self.search == "lexicon":
            assert isinstance(self.lm, NgramModel)  # by the name
            own = [w for w in self.lm.words if set(w) <= set(LETTERS) and w != "'"] if options.language else []
            prior = self._priors.get("phonemes")
            return _word_search(self._phonemes, self.lm, self._lexicon, own, options, weights, prior)
        taken = weights["prior"] * self._priors["letters"] if "letters" in self._priors else 0.0
        return _letter_search(self.alphabet, self.lm, options, weights, taken, self.search)

    def __call__(self, letters: np.ndarray, phonemes: np.ndarray | None, shown: bool = False) -> list[Hypothesis]:
        """The likeliest texts of a whole utterance, best first. letters (T, V), phonemes (T, P): ln probabilities.

        shown: those of a stream, see `finish`.
        """
        return self.finish(self.feed(self.start(), letters, phonemes), shown)

    # The same for a stream: finish(feed(start(), letters, phonemes)), with any number of feeds.

    def start(self) -> State:
        return State(self._search.start(), np.zeros((0, len(self.alphabet)), np.float32))

    def feed(self, state: State, letters: np.ndarray, phonemes: np.ndarray | None) -> State:
        search = self._search.feed(state.search, letters, phonemes)
        return State(search, np.concatenate([state.letters, letters]))

    def partial(self, state: State) -> Partial:
        return self._search.partial(state.search)

    def finish(self, state: State, shown: bool = True) -> list[Hypothesis]:
        """The texts if the speech ends here, best first: as many as confidences are computed from, if there are.

        shown: all begin with the words that `partial` calls stable.
        """
        found = self._search.finish(state.search, max(self.options.candidates, self.options.n_best), shown)
        scores = np.array([h.score for h in found])
        if self.weights.letters:
            by_letters = letter_scores(state.letters, [h.text for h in found], self.alphabet)
            scores += self.weights.letters * np.array(by_letters)
        if self._rnn:
            near = scores >= scores.max(initial=-np.inf) - MAX_SCORE_GAP_LN
            others = self._rnn.ln_probability([h.text for h, asked in zip(found, near) if asked])
            changes = np.array(others) - [h.language for h, asked in zip(found, near) if asked]
            scores += self.weights.rnn * changes.min(initial=0.0)  # of those not asked: they stay behind
            scores[near] += self.weights.rnn * (changes - changes.min(initial=0.0))
        ranked = sorted(zip(found, scores.tolist()), key=lambda pair: -pair[1])
        return [replace(h, score=s) for h, s in ranked]

    def likeliest(self, state: State, first: int = 0, settled: int = 0) -> tuple[str, ...]:
        """Of the texts found so far the words that the letters like best; () where the letters do not rescore.

        The first `settled` words, which begin all texts of the beam, have ended before the frame `first`.
        """
        if not self.weights.letters:
            return ()
        found = self._search.finish(state.search, self.options.candidates)
        texts = [h.text.split() for h in found]
        scores = letter_scores(state.letters[first:], [" ".join(words[settled:]) for words in texts], self.alphabet)
        best = np.argmax([h.score + self.weights.letters * score for h, score in zip(found, scores)])
        return tuple(texts[best])

    def pronounced(self, text: str) -> list[list[int]]:
        """The phonemes of each word, as columns; empty where the search does not know a word's pronunciation."""
        words, said = text.split(), self._search.said
        if not all(word in said for word in words):
            return []
        return [[self._columns[p] for p in said[word][0].split()] for word in words]


def decoder(
    labels: Sequence[str],
    lm: NgramModel | Path | str | None = None,
    hotwords: Iterable[str | Hotword] = (),
    lexicon: Mapping[str, Sequence[str]] | None = None,
    options: DecoderOptions = DecoderOptions(),
) -> Search:
    """A search over the log-probabilities of any CTC model: asr.decoder(labels, lm="my.arpa")(log_probs)[0].text.

    labels: the symbol of each column, the blank "" first: letters or subwords with " " between words, in lower case.
    With a lexicon, {"pear": ["P EH R"]}, they are phonemes: then the text has words of the lexicon only, and an n-gram
    model over words is needed. lm: a model or its file, ARPA or .npz. Raises asr.Error.
    """
    if not labels or labels[0]:
        raise UsageError('the labels are those of all columns, the blank "" first: reorder the columns if need be')
    from asr.language.open import open_ngrams

    model = open_ngrams(lm) if isinstance(lm, (str, Path)) else lm
    expected = tuple(Hotword(word) if isinstance(word, str) else word for word in hotwords)
    options = replace(options, hotwords=expected)
    if lexicon is None:
        weights = weights_for("letters" if model else "letters alone", options.weights, {}).given
        return _letter_search(Alphabet(labels[1:]), model, options, weights)
    if not isinstance(model, NgramModel):
        raise UsageError("a search in a lexicon needs an n-gram model over words: give lm=")
    words = Lexicon((word, way) for word, ways in lexicon.items() for way in ways)
    return _word_search(labels[1:], model, words, (), options, weights_for("lexicon", options.weights, {}).given)


def _letter_search(
    alphabet: Alphabet,
    lm: LanguageModel | None,
    options: DecoderOptions,
    weights: Mapping[str, float],
    prior: np.ndarray | float = 0.0,
    name: str = "letters",
) -> Search:
    """In letters, with a language model or without."""
    from asr.search.letters import HotwordLanguageModel, LetterSearch

    beam, lm_weight = options.beam or SearchOptions.beam, weights.get("lm", SearchOptions.lm_weight)
    if options.hotwords:
        lm = HotwordLanguageModel(lm, HotwordScorer(options.hotwords), lm_weight)
    return LetterSearch(alphabet, SearchOptions(beam, lm_weight, weights.get("word", 0.0)), lm, prior, name)


def _word_search(
    phonemes: Sequence[str],
    lm: NgramModel,
    lexicon: Lexicon,
    words: Iterable[str],
    options: DecoderOptions,
    weights: Mapping[str, float],
    log_prior: np.ndarray | None = None,
) -> Search:
    """In the words of a lexicon by their phonemes; words: to be found beside those of lexicon and hotwords.

    What the lexicon lacks is pronounced by its guesses.
    """
    hotwords = HotwordScorer(options.hotwords)
    unlisted = [word for word in dict.fromkeys([*hotwords, *words]) if word not in lexicon]
    lexicon = lexicon.overridden(Lexicon((word, way) for word in unlisted for way in lexicon.ways(word)))
    beam = options.beam or LexiconOptions.beam
    wanted = LexiconOptions(beam, weights["lm"], weights["word"], prior_weight=weights["prior"])
    return words_search(lm)(phonemes, lexicon, lm, wanted, log_prior, hotwords)


def words_search(lm: NgramModel) -> type[WordSearch]:
    """Compiled, where that can be."""
    if native is not None and lm.order <= MAX_ORDER:
        return CompiledSearch
    from asr.search.tree import LexiconSearch

    return LexiconSearch


def letter_scores(log_probs: np.ndarray, texts: list[str], alphabet: Alphabet) -> list[float]:
    """ln probability of each text by CTC over the letters (T, V); very low for a text that does not fit."""
    return np.maximum(ctc_scores(log_probs, [alphabet.encode(t) for t in texts]), -1e6).tolist()


def _lexicon(phonemes: Sequence[str], own: Lexicon) -> Lexicon:
    """The packaged lexicon with one's own pronunciations; an empty one where the model hears no phonemes."""
    if strange := [p for p in own.phonemes if p not in phonemes]:
        known = f"it has {' '.join(phonemes)}" if phonemes else "no phonemes are searched"
        raise UsageError(f"your lexicon has the phoneme {strange[0]!r}, the acoustic model has not: {known}")
    return packaged().overridden(own) if phonemes else Lexicon()


@cache
def _language(name: str | None) -> NgramModel | CharacterLanguage | None:
    """The packaged model, if there is one; or that of a file. Raises UsageError."""
    if name is None:
        return load_ngram(MODELS / LANGUAGE) if (MODELS / LANGUAGE).exists() else None
    from asr.language.open import open_ngrams

    return open_ngrams(name)


@cache
def _recurrent() -> RnnScorer | None:
    """The recurrent language model; None where it is not packaged."""
    return load_recurrent(PACKAGED) if PACKAGED.exists() else None
