"""N-gram models of characters: words that nobody has listed have a probability, too."""

from __future__ import annotations

from typing import NamedTuple

from asr.language import ngram
from asr.language.ngram import SPECIAL, NgramModel

SPACE_TOKEN = "\u2581"  # the token that stands for a space; all others are single characters


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
