"""Subwords as units: pieces of words, learnt from the training texts by sentencepiece, and the space by itself.

Pieces never reach over a space: the search finds the ends of words as it does with letters, and a language model over
words goes with them. The checkpoint holds the pieces and their ln probabilities; to write with them needs no package.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache

from asr.errors import Error
from asr.text import LETTERS, Alphabet

SPACE = " "
MAX_PIECE_LETTERS = 8  # letters of a piece


class Subwords(Alphabet):
    """Pieces with their ln probabilities by a unigram model (Kudo 2018); a word is written as its likeliest pieces."""

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]):
        super().__init__(pieces)
        self._scores = dict(zip(pieces, scores, strict=True))
        self._pieces = cache(self._segmented)

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """A text -> indices. Raises ValueError naming the letters that no piece has."""
        text = "".join(symbols)
        if unknown := sorted({s for s in text if s not in self._scores}):
            raise ValueError(f"not in the alphabet: {' '.join(map(repr, unknown))}")
        words = text.split(SPACE)
        pieces = [p for i, word in enumerate(words) for p in ((SPACE,) if i else ()) + self._pieces(word)]
        return [self.index(p) for p in pieces]

    def _segmented(self, word: str) -> tuple[str, ...]:
        """By dynamic programming: the best way to each letter's end goes on from the best way to another's."""
        best: list[tuple[float, int]] = [(0.0, 0)]  # ln probability up to here, where its last piece began
        for end in range(1, len(word) + 1):
            begun = [i for i in range(max(0, end - MAX_PIECE_LETTERS), end) if word[i:end] in self._scores]
            best.append(max((best[i][0] + self._scores[word[i:end]], i) for i in begun))
        pieces, end = [], len(word)
        while end:
            end, last = best[end][1], end
            pieces.append(word[end:last])
        return tuple(reversed(pieces))


def alphabet_of(symbols: Sequence[str], scores: Sequence[float] = ()) -> Alphabet:
    """Of a model's units: subwords where they have scores, symbols otherwise."""
    return Subwords(symbols, scores) if scores else Alphabet(symbols)


def learn(texts: Iterable[str], size: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Normalised texts -> at most ``size`` units, the space and all letters among them, and their ln probabilities.

    The same texts give the same units. Raises Error where sentencepiece is missing or the size is too small.
    """
    try:
        import sentencepiece
    except ImportError:
        raise Error("sentencepiece is missing: pip install sentencepiece, or train on letters") from None
    words = [word for text in texts for word in text.split()]
    if size < 2 * len(LETTERS) or not words:
        raise Error(f"{size} subwords of {len(words)} words are too few: take {2 * len(LETTERS)} or more")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=model, model_type="unigram", vocab_size=size,
        hard_vocab_limit=False, add_dummy_prefix=False, required_chars=LETTERS.strip(), character_coverage=1.0,
        max_sentencepiece_length=MAX_PIECE_LETTERS, normalization_rule_name="identity", bos_id=-1, eos_id=-1, pad_id=-1,
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scores = {learnt.id_to_piece(i): learnt.get_score(i) for i in range(len(learnt)) if not learnt.is_unknown(i)}
    least = min(scores.values())
    scores = {SPACE: 0.0, **{letter: least for letter in LETTERS.strip()}} | scores
    return tuple(scores), tuple(round(score, 4) for score in scores.values())
