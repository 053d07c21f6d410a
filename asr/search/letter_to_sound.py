"""Words that no lexicon lists, pronounced by a model of letters and phonemes.

An n-gram model over pairs of a letter and the phonemes that it stands for, "x:K_S", trained on a lexicon whose words
are cut into such pairs (joint sequences: Bisani & Ney 2008). recipes/language_model/letter_to_sound.py makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from asr.language.ngram import NgramModel, State, load
from asr.model.checkpoint import MODELS
from asr.native import search as native

PACKAGED = MODELS / "english-letter-to-sound.npz"
BEAM = 8  # beginnings of a word that are kept at each letter
LEAST_LN = 4.0  # ways so much less likely than the first are not given
LETTER_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip


def letter_by_letter(word: str) -> str:
    """How an acronym is read: "bc" -> "B IY S IY"."""
    return " ".join(LETTER_NAMES[c] for c in word)


def pair(letter: str, phonemes: Iterable[str]) -> str:
    """A letter and what it stands for, as a token of the model: "x:K_S"; "b:" is silent."""
    return f"{letter}:{'_'.join(phonemes)}"


class LetterToSound:
    """Pronounces words by an n-gram model of pairs."""

    def __init__(self, model: NgramModel):
        self._model = model
        self._phonemes = [word.partition(":")[2].replace("_", " ") for word in model.words]
        self._pairs: dict[str, list[int]] = {}  # of each letter
        for i, word in enumerate(model.words[3:], start=3):
            self._pairs.setdefault(word[0], []).append(i)

    def ways(self, words: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Of each word its pronunciations and their ln probabilities, the likeliest first; at least one."""
        known = ["".join(c for c in word if c in self._pairs) for word in words]
        return [self._told_apart(word, ways) for word, ways in zip(known, self._searched(known))]

    def _searched(self, words: Sequence[str]) -> Sequence[Iterable[tuple[float, list[int]]]]:
        if native is None:
            return [self._search(word) for word in words]
        number = {letter: i for i, letter in enumerate(self._pairs)}
        letters = np.array([number[c] for word in words for c in word], np.uint8)
        pairs = [np.array(each, np.int32) for each in self._pairs.values()]
        starts = [np.cumsum([0, *map(len, lists)], dtype=np.int64) for lists in (words, pairs)]
        return native.spell(self._model.native, letters, starts[0], np.concatenate(pairs), starts[1], BEAM)

    def _search(self, word: str) -> list[tuple[float, list[int]]]:
        """As native/spelling.h, twenty times slower: (ln probability, pairs), best first."""
        places: list[tuple[float, State, list[int]]] = [(0.0, self._model.start(), [])]
        for letter in word:
            grown = []
            for score, state, before in places:
                for token in self._pairs[letter]:
                    more, after = self._model.score(state, self._model.words[token])
                    grown.append((score + more, after, [*before, token]))
            places = sorted(grown, key=lambda place: -place[0])[:BEAM]
        ended = [(score + self._model.end(state), pairs) for score, state, pairs in places]
        return sorted(ended, key=lambda end: -end[0])

    def _told_apart(self, word: str, ways: Iterable[tuple[float, list[int]]]) -> list[tuple[str, float]]:
        """Each pronunciation once, by its likeliest pairs; of a word of silent letters the first that sounds."""
        found: dict[str, float] = {}
        for score, tokens in ways:
            said = " ".join(filter(None, (self._phonemes[token] for token in tokens)))
            if said:
                found.setdefault(said, score)
        if not found:
            loud = [self._phonemes[token] for letter in word or "a" for token in self._pairs[letter]]
            found = {next(filter(None, loud), "AH"): -np.inf}
        best = max(found.values())
        return [(said, score) for said, score in found.items() if score >= best - LEAST_LN]


@cache
def letter_to_sound() -> LetterToSound:
    """The packaged model. Raises UsageError where it is missing."""
    return LetterToSound(load(PACKAGED))
