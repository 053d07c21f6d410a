"""Text: normalisation, the units of the acoustic model (letters, phonemes, subwords), and CTC's collapse rule.

Subwords are pieces of words, learnt from the training texts by sentencepiece, and the space by itself. They never reach
over a space: the search finds the ends of words as it does with letters, and a language model over words goes with
them. The checkpoint holds the pieces and their ln probabilities; to write with them needs no package.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from asr.errors import Error

BLANK = 0
LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
SPACE = " "
MAX_PIECE_LETTERS = 8  # letters of a piece
UNKNOWN_LETTER_LN = -100.0  # ln probability of a letter that no piece has

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "ʼ": "'"})
_NOT_A_LETTER = re.compile(r"[^a-z' ]+")
_LOOSE_APOSTROPHE = re.compile(r"(?<![a-z])'|'(?![a-z])")


def normalise(text: str) -> str:
    """Lower-case ``text`` and keep only a-z, inner apostrophes and single spaces.

    Accents are dropped ("café" -> "cafe"); every other symbol becomes a space.
    Digits are not spelled out: write "twenty one", not "21".
    """
    text = _NOT_A_LETTER.sub(" ", folded(text))
    return " ".join(_LOOSE_APOSTROPHE.sub(" ", text).split())


def folded(text: str) -> str:
    """In lower case, without accents, with plain apostrophes."""
    text = unicodedata.normalize("NFKD", text.translate(_QUOTES).lower())
    return "".join(c for c in text if not unicodedata.combining(c))


class Alphabet:
    """Maps symbols to the indices 1..n of the CTC output; index 0 is the blank."""

    def __init__(self, symbols: Sequence[str] = LETTERS):
        self.symbols = list(symbols)
        self._index = {s: i for i, s in enumerate(self.symbols, start=1)}
        if len(self._index) != len(self.symbols):
            raise ValueError("an alphabet lists each symbol once")

    def __len__(self) -> int:
        """Number of CTC outputs, the blank included."""
        return len(self.symbols) + 1

    def __getitem__(self, index: int) -> str:
        return "" if index == BLANK else self.symbols[index - 1]

    def index(self, symbol: str) -> int:
        """Index of one symbol. Raises KeyError when the alphabet lacks it."""
        return self._index[symbol]

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """Symbols -> indices. Raises ValueError naming what the alphabet lacks."""
        symbols = list(symbols)
        try:
            return [self._index[s] for s in symbols]
        except KeyError:
            unknown = sorted({s for s in symbols if s not in self._index})
            raise ValueError(f"not in the alphabet: {' '.join(map(repr, unknown))}") from None

    def decode(self, indices: Iterable[int]) -> str:
        return "".join(self[i] for i in indices)


class Phonemes(Alphabet):
    """Phonemes, in texts with spaces between them: "P EH R"."""

    def encode(self, symbols: Iterable[str]) -> list[int]:
        return super().encode("".join(symbols).split())

    def decode(self, indices: Iterable[int]) -> str:
        return " ".join(self[i] for i in indices)


class Subwords(Alphabet):
    """Pieces with their ln probabilities by a unigram model (Kudo 2018); a word is written as its likeliest pieces."""

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]):
        super().__init__(pieces)
        self._scores = dict(zip(pieces, scores, strict=True))
        self._pieces = cache(lambda word: segmented(word, self._scores, MAX_PIECE_LETTERS))

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """A text -> indices. Raises ValueError naming the letters that no piece has."""
        text = "".join(symbols)
        if unknown := sorted({s for s in text if s not in self._scores}):
            raise ValueError(f"not in the alphabet: {' '.join(map(repr, unknown))}")
        words = text.split(SPACE)
        pieces = [p for i, word in enumerate(words) for p in ((SPACE,) if i else ()) + self._pieces(word)]
        return [self.index(p) for p in pieces]


def segmented(word: str, scores: Mapping[str, float], longest: int) -> tuple[str, ...]:
    """A word -> its likeliest pieces, of ``longest`` letters at most; a letter that has no score is one by itself.

    By dynamic programming: the best way to each letter's end goes on from the best way to another's.
    """
    best: list[tuple[float, int]] = [(0.0, 0)]  # ln probability up to here, where its last piece began
    for end in range(1, len(word) + 1):
        begun = [i for i in range(max(0, end - longest), end) if word[i:end] in scores] or [end - 1]
        best.append(max((best[i][0] + scores.get(word[i:end], UNKNOWN_LETTER_LN), i) for i in begun))
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
    words = [word for text in texts for word in text.split()]
    if size < 2 * len(LETTERS) or not words:
        raise Error(f"{size} subwords of {len(words)} words are too few: take {2 * len(LETTERS)} or more")
    scores = learn_pieces(words, size, LETTERS.strip(), MAX_PIECE_LETTERS)
    least = min(scores.values())
    scores = {SPACE: 0.0, **{letter: least for letter in LETTERS.strip()}} | scores
    return tuple(scores), tuple(round(score, 4) for score in scores.values())


def learn_pieces(words: Iterable[str], size: int, required: Sequence[str], longest: int) -> dict[str, float]:
    """At most ``size`` pieces of at most ``longest`` letters, and their ln probabilities, by sentencepiece.

    required: letters to be among them if the words have them. Raises Error where sentencepiece is missing.
    """
    try:
        import sentencepiece
    except ImportError:
        raise Error("sentencepiece is missing: pip install 'asr[train]', or train on letters") from None
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=model, model_type="unigram", vocab_size=size,
        hard_vocab_limit=False, add_dummy_prefix=False, required_chars="".join(required), character_coverage=1.0,
        max_sentencepiece_length=longest, normalization_rule_name="identity", bos_id=-1, eos_id=-1, pad_id=-1,
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return {learnt.id_to_piece(i): learnt.get_score(i) for i in range(len(learnt)) if not learnt.is_unknown(i)}


def collapse(path: Iterable[int]) -> list[int]:
    """CTC's collapse rule: merge repeats, then drop blanks (Graves et al. 2006).

    "ttt_h_eee___" -> "the"; a doubled letter needs a blank between its two.
    """
    kept, previous = [], BLANK
    for label in path:
        if label != previous and label != BLANK:
            kept.append(label)
        previous = label
    return kept
