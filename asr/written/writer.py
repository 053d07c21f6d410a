"""Words as said to text as people write it: marks, capitals and numbers, each piece with the words it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from asr.text import normalise
from asr.transcript import Segment, Word
from asr.written import WrittenOptions
from asr.written.stretches import stretches
from asr.written.tagger import COMMA, ENDS, MARKS, NONE, State, Tagger, capitalised, classes, in_case, load

if TYPE_CHECKING:
    from asr.written.numbers import NumberWriter, Span

_NO_GAP = re.compile(r"\S+")
_SAID = re.compile(r"[a-z']*[a-z][a-z']*")
_END = re.compile(r"[.?!…][\"')\]”’]*$")
TOGETHER = 2000  # words of a text that the tagger is given at a time: bounds the memory
CONTEXT = 12  # words around a segment that are asked whether a number goes on there
ENDED = 2.0  # s; the end of a text is as good as such a pause
WEEKDAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
END_PAUSE = 0.3  # s; with such a pause and a sentence's end inside, words are no single number


class Token(NamedTuple):
    """A piece of written text, without spaces around it, and the words that it stands for: first to last - 1."""

    text: str
    first: int
    last: int


class Context(NamedTuple):
    """Where a text stands, for what follows it."""

    tagger: State
    begins: bool = True  # a sentence begins with the next word
    before: tuple[str, ...] = ()  # the last words


class Writer:
    """Everything that writing needs. It is put together once and serves any number of texts."""

    def __init__(self, tagger: Tagger, numbers: NumberWriter | WrittenOptions = WrittenOptions()):
        """numbers: what writes them, or how: then it is put together for the first one."""
        self.tagger, self._given = tagger, numbers

    @classmethod
    def load(cls, options: WrittenOptions = WrittenOptions()) -> Writer:
        """With the packaged models. Raises asr.model.checkpoint.CheckpointError."""
        return cls(load(), options)

    @cached_property
    def numbers(self) -> NumberWriter:
        if not isinstance(self._given, WrittenOptions):
            return self._given
        from asr.written.numbers import NumberWriter

        return NumberWriter(self._given.dates, self._given.numbers)

    def start(self) -> Context:
        """Before a text's first word."""
        return Context(self.tagger.start())

    def text(self, text: str) -> str:
        """A text of words -> written text, with the same white space between those that stay apart."""
        words, gaps = text.split(), _NO_GAP.split(text)
        found = [gaps[token.first] + token.text for token in self.write(words)]
        return "".join(found) + gaps[-1]

    def write(self, words: Sequence[str], pauses: Sequence[float | None] = ()) -> list[Token]:
        """A whole text. pauses: after each word, in s; None: not known.

        Words are in small letters as the recogniser has them. All else stays as it is: capitals, marks that are there.
        """
        return self.go_on(words, [*(pauses or [None] * len(words))[:-1], ENDED], self.start())[0] if words else []

    def go_on(
        self, words: Sequence[str], pauses: Sequence[float | None], context: Context
    ) -> tuple[list[Token], Context]:
        """The next sentences of a text, of which nothing more will be known for now."""
        pauses = pauses or [None] * len(words)
        said, state, logits = list(map(as_said, words)), context.tagger, []
        for k in range(0, len(words), TOGETHER):
            part = slice(k, k + TOGETHER)
            found, state = self.tagger.feed(said[part], pauses[part], state, last=part.stop >= len(words))
            logits.append(found)
        if not logits:
            return [], context
        tokens, begins = self._tokens(words, pauses, np.concatenate(logits), context, (), ends=True)
        return tokens, Context(state, begins, (*context.before, *words)[-CONTEXT:])

    def utterance(self, segment: Segment, pause: float | None, context: Context) -> tuple[Segment, Context]:
        """One that is written before the next one is known. pause: after it, in s."""
        words, pauses = [word.text for word in segment.words], pauses_of(segment)
        tokens, context = self.go_on(words, [*pauses[:-1], pause], context)
        return written(segment, tokens), context

    def segments(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """Segments in order of time -> the same, written, each when the words that it has to wait for are there.

        A sentence may go on from one to the next.
        """
        context, waiting, known = self.start(), [], np.zeros((0, 0), np.float32)
        for segment, following in pairwise(chain(segments, [None])):
            assert segment is not None
            words, pauses = [word.text for word in segment.words], pauses_of(segment, following)
            pauses = pauses if following else [*pauses[:-1], ENDED]
            logits, state = self.tagger.feed(words, pauses, context.tagger, last=following is None)
            known = np.concatenate([known, logits]) if len(known) else logits
            context = context._replace(tagger=state)
            waiting.append((segment, pauses))
            while waiting and len(known) >= len(waiting[0][0].words):
                (segment, pauses), *waiting = waiting
                after = [word.text for other, _ in waiting for word in other.words][:CONTEXT]
                words, own, known = [w.text for w in segment.words], known[: len(pauses)], known[len(pauses) :]
                tokens, begins = self._tokens(words, pauses, own, context, after, following is None and not waiting)
                context = context._replace(begins=begins, before=(*context.before, *words)[-CONTEXT:])
                yield written(segment, tokens)

    def _tokens(
        self,
        words: Sequence[str],
        pauses: Sequence[float | None],
        logits: np.ndarray,
        context: Context,
        after: Sequence[str],
        ends: bool,
    ) -> tuple[list[Token], bool]:
        """-> the words as they are written, and whether a sentence begins after them. ends: nothing follows."""
        marks, cases = classes(logits)
        if ends and len(marks) and marks[-1] == COMMA:
            marks[-1] = NONE
        begins, tokens, spans = context.begins, [], self._spans(words, pauses, marks, context.before, after)
        k = 0
        while k < len(words):
            span = spans.get(k)
            last = span.last if span else k + 1
            mark = COMMA if words[k] in WEEKDAYS and _is_day(spans.get(k + 1)) else int(marks[last - 1])
            if span:  # read back as the words said, its case included
                text, begins = with_mark(span.text, mark), mark in ENDS
            elif is_said(words[k]):
                text = in_case(words[k], int(cases[k]), self.tagger.mixed)
                text, begins = with_mark(capitalised(text) if begins else text, mark), mark in ENDS
            else:
                text = with_mark(words[k], mark) if words[k].isascii() and words[k][-1].isalnum() else words[k]
                begins = bool(_END.search(text))
            tokens.append(Token(text, k, last))
            k = last
        return tokens, begins

    def _spans(
        self,
        words: Sequence[str],
        pauses: Sequence[float | None],
        marks: np.ndarray,
        before: Sequence[str],
        after: Sequence[str],
    ) -> dict[int, Span]:
        """Numbers by their first words; not those that reach over the edges, or over the end of a sentence, nor those
        of words that are written already: "Twenty One Pilots".
        """
        shift, said = len(before), [*before, *map(str.lower, words), *after]
        found: dict[int, Span] = {}
        if isinstance(self._given, WrittenOptions) and not any(stretches(said)):
            return found
        for span in self.numbers.spans(said):
            first, last = span.first - shift, span.last - shift
            inside = range(max(0, first), min(last, len(words)) - 1)
            apart = any(marks[k] in ENDS and (pauses[k] or 0.0) >= END_PAUSE for k in inside)
            if 0 <= first and last <= len(words) and not apart and all(map(is_said, words[first:last])):
                found[first] = replace(span, first=first, last=last)
        return found


def _is_day(span: Span | None) -> bool:
    """ "May 3rd" or the like; between the day of a week and it stands a comma."""
    return bool(span and span.kind == "date" and span.text[0].isalpha())


def is_said(word: str) -> bool:
    """It is as the recogniser gives words, so that its capitals and what follows it are open."""
    return bool(_SAID.fullmatch(word))


def as_said(word: str) -> str:
    """Any word for the tagger."""
    return word if is_said(word) else normalise(word).replace(" ", "") or word.lower()


def with_mark(text: str, mark: int) -> str:
    """A written word and the mark after it; the point of "p.m." serves for both."""
    return text + ("" if text.endswith(".") and MARKS[mark] == "." else MARKS[mark])


def pauses_of(segment: Segment, following: Segment | None = None) -> list[float | None]:
    """The pause after each word, in s; that after the last one up to the next segment, if that is known."""
    starts = [word.start for word in segment.words[1:]] + ([following.start] if following else [])
    pauses: list[float | None] = [start - word.end for word, start in zip(segment.words, starts)]
    return pauses if following else [*pauses, None]


def written(segment: Segment, tokens: Sequence[Token]) -> Segment:
    """A segment with its tokens, each from the start of its first word to the end of its last."""
    words = segment.words
    return replace(segment, written=tuple(
        Word(text, words[first].start, words[last - 1].end, min(w.confidence for w in words[first:last]))
        for text, first, last in tokens
    ))  # fmt: skip
