"""Numbers, dates, times, money, measures and the like: from the words as said to the way they are written.

Stretches of words that may hold such a thing are found by a look into sets. For each, the encoder-decoder with
attention writes a text, and the text is read back: it is taken only where the words said are one of the ways to say
it. All else stays in words: a number may stay a word, but it is never another number.

The model reads symbols: the order of dates wanted, two words, the stretch between marks, and two words. Words that it
does not know are numbered places, and what it writes for them is the word at that place: names need no spelling. It
writes digits, capitals, units, months, words, and ``_`` for a space; ``=`` alone means that the words stay.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np

from asr.attention.search import SearchOptions
from asr.attention.seq2seq import Output, Seq2Seq
from asr.errors import UsageError
from asr.written import Dates, Numbers
from asr.written.known import NUMBERED, joined, known
from asr.written.reading import Piece, read
from asr.written.stretches import CLOSED, NAMED_UNITS, NUMBER_WORDS, SCALES, SMALL, stretches

KEEP, SPACE, FIRST, LAST = "=", "_", "<", ">"
CONTEXT = 2  # words on each side
PLACES = 9
MODEL = Path(__file__).parent.parent / "models" / "english-numbers.safetensors"
LEAST = math.log(0.03)  # ln probability of a text that is looked at
LEAST_SHARE = 0.01  # what is kept for texts that nobody thought of
MARGIN = 4  # by what a text has to be likelier than those of other values
CLOCK_MARGIN = 30  # the same of a time of day without a.m. or o'clock
GREEDY = SearchOptions(beam=1, length=0.0)
WIDER = SearchOptions(beam=4, length=0.0)
CLOCK_CUES = frozenset(  # before a time of day without a.m. or o'clock
    "at for by until till from to around about before after since between and or is it's past nearly almost".split()
)
YEAR_CUES = frozenset("before after since between".split())  # "before twelve oh four" may be a year
NUMBER_CUES = (  # before four digits that could be a time: "the ten thirty train"
    NUMBERED | frozenset("at in since year of from until till around about by to and or before after between".split())
)
HUGE = frozenset(  # scales that the model does not know: a number beside one is a part of another
    "quadrillion quintillion sextillion septillion octillion nonillion decillion lakh lakhs crore crores".split()
)
CLOCK_WORDS = NUMBER_WORDS | {"oh", "o"}
_HALF_DONE = re.compile(r"\b(half|quarter) (past|to) \d")
CACHE = 4096  # stretches whose texts are kept


@dataclass(frozen=True)
class Span:
    """``words[first:last]`` are written as ``text``; kind: cardinal, date, time, money, ... (asr.written.reading)."""

    first: int
    last: int
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Map:
    """Where the model looked in a stretch with its context (``words``) as it wrote each piece of ``text``."""

    text: str
    pieces: list[str]
    words: list[str]
    weights: np.ndarray  # (pieces, words), rows sum to 1

    def __str__(self) -> str:
        """A table: a row a piece, a column a word, weights in tenths."""
        width = max((len(piece) for piece in self.pieces), default=0)
        lines = [
            f"{piece:>{width}}  "
            + " ".join(f"{round(10 * weight) or '.':>{len(word)}}" for word, weight in zip(self.words, row))
            for piece, row in zip(self.pieces, self.weights)
        ]
        return "\n".join([" " * width + "  " + " ".join(self.words), *lines])


class NumberWriter:
    """Finds stretches of words that are better written in figures, and writes them.

    ``dates``: the order in which they were said, or "May 3, 2021" (us), or "3 May 2021" (uk). ``numbers``: all in
    figures; only those of ten and more, and those that count a unit (large); or none at all (never). Raises UsageError.
    The model is read when the first stretch is met.
    """

    def __init__(self, dates: Dates = "said", numbers: Numbers = "large", model: Path | str = MODEL):
        for name, value, choices in (("dates", dates, get_args(Dates)), ("numbers", numbers, get_args(Numbers))):
            if value not in choices:
                raise UsageError(f"no {name} called {value!r}: choose from {', '.join(choices)}")
        self.dates, self.numbers, self._path = dates, numbers, model
        self._written: dict[str, list[Piece] | None] = {}

    @cached_property
    def model(self) -> Seq2Seq:
        """Raises asr.model.checkpoint.CheckpointError."""
        return Seq2Seq.load(self._path)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.model.source.symbols)

    def spans(self, words: Sequence[str]) -> list[Span]:
        """What to write otherwise, in order, without overlap; all other words stay, and so do unsure ones."""
        if self.numbers == "never":
            return []
        said = [word.lower() for word in words]
        return [span for first, last in self._stretches(said) for span in self._spans(said, first, last)]

    def maps(self, words: Sequence[str]) -> list[Map]:
        """Where the model looks in each stretch, whether what it writes is taken or not."""
        said = [word.lower() for word in words]
        found = []
        for first, last in self._stretches(said):
            symbols = source(said, first, last, self.dates, self._known)
            output = self.model(" ".join(symbols), GREEDY)[0]
            text = text_of(output.symbols[:-1], said[first:last])
            assert output.map is not None
            found.append(
                Map(text, [s or "(end)" for s in output.symbols], [s or "(end)" for s in output.source], output.map)
            )
        return found

    def _stretches(self, said: Sequence[str]) -> Iterator[tuple[int, int]]:
        for first, last in stretches(said):
            if HUGE.intersection((*said[max(0, first - 1) : first], *said[last : last + 1])):
                continue
            if last > first + 1 or said[first] not in SMALL or (self.numbers == "always" and said[first] != "one"):
                yield first, last

    def _spans(self, said: Sequence[str], first: int, last: int) -> Iterator[Span]:
        symbols = " ".join(source(said, first, last, self.dates, self._known))
        stretch = said[first:last]
        key = f"{symbols} {' '.join(said[max(0, first - 1) : last])}"
        if key not in self._written:
            if len(self._written) >= CACHE:
                self._written.clear()
            self._written[key] = self._write(symbols, stretch, said[first - 1] if first else "")
        pieces = self._written[key] or []
        figures = [piece for piece in pieces if piece.kind != "word"]
        alone = not any(piece.kind == "cardinal" and not _small(piece) for piece in figures)
        for piece in figures:
            after = said[first + piece.last] if first + piece.last < len(said) else ""
            word = piece.text == "1" or (self.numbers == "large" and after not in NAMED_UNITS)
            if not (_small(piece) and alone and word):
                yield Span(first + piece.first, first + piece.last, piece.text, piece.kind)

    def _write(self, symbols: str, stretch: Sequence[str], before: str) -> list[Piece] | None:
        """The pieces of the likeliest text that the words are a way to say; None: the words stay.

        A likely text is taken at once. Else it has to be much likelier than the texts of other values that can be read.
        What only has one reading needs no model.
        """
        if text := known(stretch):
            return read(text, stretch)
        first = self.model(symbols, GREEDY)[0]
        pieces = self._read(first, stretch, before)
        if pieces and first.ln_probability > math.log1p(-1 / _margin(pieces, stretch, before)):
            return pieces
        best, shares = None, defaultdict[str, float](float)
        for output in self.model(symbols, WIDER, n_best=WIDER.beam):
            if output.ln_probability > LEAST and (pieces := self._read(output, stretch, before)):
                best = best or pieces
                shares[_value(pieces)] += math.exp(output.ln_probability)
        if not best:
            return None
        ours = shares.pop(_value(best))
        rival = max((share for value, share in shares.items() if value), default=0.0)
        return best if ours > _margin(best, stretch, before) * max(rival, LEAST_SHARE) else None

    def _read(self, output: Output, stretch: Sequence[str], before: str) -> list[Piece] | None:
        text = joined(text_of(output.symbols[:-1], stretch))
        if before in NUMBERED and re.fullmatch(r"\d+:\d\d", text):
            text = text.replace(":", "")
        return None if _HALF_DONE.search(text) else read(text, stretch)


def _margin(pieces: Sequence[Piece], stretch: Sequence[str], before: str) -> float:
    """By what a text has to be likelier than others. No time of day that nothing announces ever is: "bus two fifty";
    nor are four digits that may as well be a time.
    """
    found = float(MARGIN)
    for piece in pieces:
        said = stretch[piece.first : piece.last]
        if len(said) <= 3 and CLOCK_WORDS.issuperset(said):
            cue = stretch[piece.first - 1] if piece.first else before
            late = piece.text[:2] in ("10", "11", "12")
            if re.fullmatch(r"\d+:\d\d", piece.text):
                clear = cue in CLOCK_CUES and not (late and cue in YEAR_CUES)
                found = max(found, CLOCK_MARGIN if clear else math.inf)
            elif late and re.fullmatch(r"\d\d[0-5]\d", piece.text) and cue not in NUMBER_CUES:
                found = math.inf
    return found


def _value(pieces: Sequence[Piece]) -> str:
    """Its figures without what makes no difference: 2,005 or 2005, 3rd or 3, $5 million or 5,000,000 dollars."""
    text = " ".join(piece.text for piece in pieces if piece.kind != "word")
    text = re.sub(r"(?<=\d)[,-](?=\d)", "", text)
    text = re.sub(
        r"(\d+(?:\.\d+)?) (million|billion|trillion)\b", lambda m: str(round(float(m[1]) * SCALES[m[2]])), text
    )
    return " ".join(re.findall(r"\d[\d.:/]*", text)) or text


def _small(piece: Piece) -> bool:
    return piece.kind == "cardinal" and len(piece.text) == 1


def source(words: Sequence[str], first: int, last: int, dates: str, known: Collection[str]) -> list[str]:
    """Symbols of ``words[first:last]`` and of the words around it, of which the model knows those of ``known``."""
    places = iter(range(1, PLACES + 1))
    inside = [word if word in CLOSED else f"<{next(places, 0)}>" for word in words[first:last]]
    before, after = words[max(0, first - CONTEXT) : first], words[last : last + CONTEXT]
    return [
        f"<{dates}>",
        *(_around(word, known) for word in before),
        FIRST,
        *inside,
        LAST,
        *(_around(word, known) for word in after),
    ]


def _around(word: str, known: Collection[str]) -> str:
    return word if word in known else "<s>" if word.endswith("s") else "<?>"


def placed(words: Sequence[str]) -> dict[str, str]:
    """Place -> word."""
    unknown = [word for word in words if word not in CLOSED][:PLACES]
    return {f"<{i}>": word for i, word in enumerate(unknown, 1)}


def text_of(symbols: Sequence[str], words: Sequence[str]) -> str:
    """What was written for the stretch ``words``."""
    if list(symbols) == [KEEP]:
        return " ".join(words)
    places = placed(words) | {SPACE: "_" if "underscore" in words else " "}
    return "".join(places.get(symbol, symbol) for symbol in symbols)
