"""What an encoder-decoder reads and writes: characters, or pieces of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from asr.attention.search import EOS
from asr.errors import Error
from asr.text import learn_pieces, segmented

UNKNOWN = 1  # the number of every symbol that the vocabulary lacks
SPECIAL = ("", "<unk>")  # the end of a text, as EOS; an unknown symbol
BEGIN = "\u2581"  # what sentencepiece puts where a word begins


class Vocabulary:
    """Symbols and their numbers. scores: ln probability of each, where the symbols are pieces of words.

    Longer symbols than characters that have no scores stand in a text with spaces between.
    """

    def __init__(self, symbols: Sequence[str], scores: Sequence[float] = ()):
        self.symbols, self.scores = [*SPECIAL, *symbols], list(scores)
        self._numbers = {symbol: i for i, symbol in enumerate(self.symbols)}
        self._pieces = dict(zip(symbols, scores, strict=True)) if scores else {}
        self._spaced = not scores and any(len(symbol) > 1 for symbol in symbols)
        self._longest = max(map(len, symbols), default=1)
        self._known: dict[str, tuple[str, ...]] = {}  # words that were cut before

    def __len__(self) -> int:
        return len(self.symbols)

    def split(self, text: str) -> list[str]:
        """A text -> its symbols; among them may be some that have no number of their own. Pieces heed no double space.

        Every text is its symbols, joined.
        """
        if not self._pieces:
            return text.split() if self._spaced else list(text)
        return list(chain.from_iterable(map(self._cut, text.split())))

    def _cut(self, word: str) -> tuple[str, ...]:
        if word not in self._known:
            self._known[word] = segmented(BEGIN + word, self._pieces, self._longest)
        return self._known[word]

    def ids(self, symbols: Iterable[str]) -> list[int]:
        """Their numbers, UNKNOWN for those that have none."""
        return [self._numbers.get(symbol, UNKNOWN) for symbol in symbols]

    def join(self, symbols: Iterable[str]) -> str:
        """What ``split`` took apart."""
        text = (" " if self._spaced else "").join(symbols)
        return text.replace(BEGIN, " ").strip() if self._pieces else text


def characters(texts: Iterable[str], least: int = 1) -> Vocabulary:
    """The characters that are in texts so often at least, the most frequent first."""
    counts = Counter(chain.from_iterable(texts))
    return Vocabulary([c for c, n in counts.most_common() if n >= least])


def subwords(texts: Iterable[str], size: int) -> Vocabulary:
    """At most ``size`` pieces of words, learnt by sentencepiece; all characters among them. Raises asr.errors.Error."""
    words = [BEGIN + word for text in texts for word in text.split()]
    letters = sorted({c for word in words for c in word})
    if size < 2 * len(letters) or not words:
        raise Error(f"{size} subwords of {len(words)} words are too few: take {max(2, 2 * len(letters))} or more")
    scores = learn_pieces(words, size - len(SPECIAL), letters, longest=16)
    return Vocabulary(list(scores), list(scores.values()))


__all__ = ["EOS", "UNKNOWN", "Vocabulary", "characters", "subwords"]
