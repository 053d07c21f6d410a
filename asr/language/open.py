"""Language models of both kinds behind one interface: score sentences, measure perplexity, sample."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from asr.errors import UsageError
from asr.language import ngram
from asr.language.ngram import END, SPECIAL, START, UNKNOWN, NgramModel
from asr.model.checkpoint import MODELS
from asr.text import LETTERS, folded

SPACE_TOKEN = "\u2581"  # the token that stands for a space; all others are single characters
DEFAULT = "english-lm"
_log = logging.getLogger(__name__)


def spaced(text: str) -> str:
    """As tokens with spaces between: "a cat" -> "a \u2581 c a t"."""
    return " ".join(text.replace(" ", SPACE_TOKEN))


def unspaced(tokens: str) -> str:
    """The text again."""
    return tokens.replace(" ", "").replace(SPACE_TOKEN, " ")


def of_characters(model: NgramModel) -> bool:
    return SPACE_TOKEN in model and all(len(word) == 1 for word in model.words[len(SPECIAL) :])


class Place(NamedTuple):
    """Where a text stands."""

    state: ngram.State
    begun: bool  # there are words already


class CharacterLanguage:
    """What asr.search.base asks of a language model: a word costs what its letters and the space before it cost."""

    def __init__(self, model: NgramModel):
        self.model = model
        self._inside = model.score((), SPACE_TOKEN)[1]  # after a space, whatever came before it

    def start(self) -> Place:
        return Place(self.model.start(), False)

    def score(self, place: Place, word: str) -> tuple[float, Place]:
        """ln probability of the word, and the place after it."""
        total, state = self._spelt(place.state, (SPACE_TOKEN if place.begun else "") + word)
        return total, Place(state, True)

    def end(self, place: Place) -> float:
        return self.model.end(place.state)

    def __contains__(self, word: str) -> bool:
        return all(c in self.model for c in word)

    def best_completion(self, beginning: str) -> float:
        """ln probability that a word begins so, without context."""
        return self._spelt(self._inside, beginning)[0]

    def _spelt(self, state: ngram.State, characters: str) -> tuple[float, ngram.State]:
        total = 0.0
        for c in characters:
            score, state = self.model.score(state, c)
            total += score
        return total, state


class Language(Protocol):
    """What the commands ask of a language model, n-gram or recurrent; probabilities are natural logs."""

    end: int  # id of the end of a sentence

    def ln_probability(self, texts: list[str]) -> list[float]:
        """Of each text, its end included; unknown words count as <unk>."""

    def tokens(self, text: str) -> list[str]:
        """What is predicted before the end: words or characters."""

    def knows(self, token: str) -> bool:
        """Whether it is in the vocabulary."""

    def start(self) -> Any:
        """The state before the first token."""

    def distribution(self, state: Any) -> np.ndarray:
        """(ids,): ln probability of every id as the next one; -inf for what is never said."""

    def after(self, state: Any, token: int) -> Any:
        """The state after one more token, by its id."""

    def join(self, ids: Sequence[int]) -> str:
        """The text of these tokens."""


class NgramLanguage:
    """Of words, by an n-gram model."""

    end = END

    def __init__(self, model: NgramModel):
        self.model = model

    def ln_probability(self, texts: list[str]) -> list[float]:
        return [ngram.log_prob(self.model, text) for text in texts]

    def tokens(self, text: str) -> list[str]:
        return text.split()

    def knows(self, token: str) -> bool:
        return token in self.model

    def start(self) -> ngram.State:
        return self.model.start()

    def distribution(self, state: ngram.State) -> np.ndarray:
        levels = self.model.levels
        found = levels[0].log_prob.astype(np.float64)
        for n, place in enumerate(state, start=1):
            if place >= 0:
                found += levels[n - 1].backoff[place]
                followers = slice(*levels[n].first[place : place + 2])
                found[levels[n].word[followers]] = levels[n].log_prob[followers]
        found[[START, UNKNOWN]] = -np.inf
        return found

    def after(self, state: ngram.State, token: int) -> ngram.State:
        return self.model.score(state, self.model.words[token])[1]

    def join(self, ids: Sequence[int]) -> str:
        return " ".join(self.model.words[i] for i in ids)


class CharacterNgrams(NgramLanguage):
    """Of a model whose tokens are characters."""

    def ln_probability(self, texts: list[str]) -> list[float]:
        return super().ln_probability([spaced(text) for text in texts])

    def tokens(self, text: str) -> list[str]:
        return spaced(text).split()

    def join(self, ids: Sequence[int]) -> str:
        return unspaced(super().join(ids))


def open_language(name: str, raw: bool = False) -> Language:
    """A packaged model's name or a file: ARPA, .npz, or the RNN's safetensors.

    raw: leave the words of n-grams as they are, where they are not written as the recogniser writes words.
    Raises CheckpointError, UsageError.
    """
    packaged = [p for p in (MODELS / f"{name}.npz", MODELS / f"{name}.safetensors") if p.is_file()]
    path = packaged[0] if packaged else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (*MODELS.glob("*-lm.npz"), *MODELS.glob("*-rnn.safetensors"))))
        raise UsageError(f"no language model called {name!r}: give a file or a packaged model ({known})")
    try:
        with open(path, "rb") as file:
            first = file.read(9)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if first[8:] == b"{" and not first.startswith(b"PK"):
        from asr.language.rnn_network import load  # it brings torch with it

        return load(path)
    if first.startswith(b"PK"):
        model = ngram.load(path)
    else:
        from asr.language import arpa

        model = arpa.read(path)
    if not raw and not packaged:
        model = with_spoken_words(model, str(path))
    return CharacterNgrams(model) if of_characters(model) else NgramLanguage(model)


def open_ngrams(name: str | Path) -> NgramModel | CharacterLanguage:
    """For a search in letters or words: a model over words or characters. Raises UsageError."""
    found = open_language(str(name))
    if not isinstance(found, NgramLanguage):
        raise UsageError(f"{name} is a recurrent model: the search takes n-grams, as `asr lm train` makes them")
    return CharacterLanguage(found.model) if isinstance(found, CharacterNgrams) else found.model


def with_spoken_words(model: NgramModel, name: str) -> NgramModel:
    """The model with its words in lower case, plain apostrophes and no accents, as the recogniser writes words.

    Where several become one, the word that is so already stays, or else the likeliest. What was changed, and how many
    words cannot be recognised, is logged as a warning. Raises UsageError where that is all of them.
    """
    words, likeliest = list(model.words), np.argsort(-model.unigrams.log_prob, kind="stable").tolist()
    taken = {word for word in words if _sayable(word)}
    for i in likeliest:
        new = words[i] if i < len(SPECIAL) or words[i] in taken else folded(words[i])
        if new not in taken and _sayable(new):
            taken.add(new)
            words[i] = new
    changed = sum(a != b for a, b in zip(words, model.words))
    useless = [word for word in words[len(SPECIAL) :] if not _sayable(word) and word != SPACE_TOKEN]
    if not taken:
        raise UsageError(f"no word of {name} can be recognised: they have to be written in letters a to z, as said")
    if changed:
        _log.warning("%s: %d of %d words are read in lower case and without accents", name, changed, len(words))
    if useless:
        said = f"such as {useless[0]!r}: they have other signs than a to z, or are another word's form"
        _log.warning("%s: %d of %d words cannot be recognised, %s", name, len(useless), len(words), said)
    return NgramModel(words, model.packed) if changed else model


def _sayable(word: str) -> bool:
    return set(word) <= set(LETTERS) - {" "} and word.strip("'") != ""


def per_token(ln_probability: float, tokens: int) -> float:
    """Perplexity; the ends of sentences are to be counted among the tokens."""
    return math.exp(-ln_probability / tokens)


def sample(language: Language, rng: np.random.Generator, temperature: float, limit: int) -> str:
    """A sentence of 1 to `limit` tokens, each drawn from p^(1 / temperature): below 1 likelier, above 1 odder."""
    state, ids = language.start(), []
    while len(ids) < limit:
        scores = language.distribution(state) / temperature
        if not ids:
            scores[language.end] = -np.inf
        weights = np.exp(scores - scores.max())
        token = int(rng.choice(len(weights), p=weights / weights.sum()))
        if token == language.end:
            break
        ids.append(token)
        state = language.after(state, token)
    return language.join(ids)
