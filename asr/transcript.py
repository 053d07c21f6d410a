"""What was said and when, and a small writer for each output format."""

from __future__ import annotations

import json
import os
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from asr.errors import Error
from asr.files import atomic_write

LINE = 42  # characters in a line of a caption
LINES = 2  # lines in a caption
PAUSE_S = 0.5  # s without a word after which a new caption begins
READING_RATE = 20  # characters a second that viewers can read
LEADING = frozenset(  # words that stand on the line of what follows them
    "a an the and or but nor if than that as to of in on at by for from with into my your his her its our their "
    "this these those no not very i you he she it we they is are was were am be will would can could has have had mr "
    "mrs ms dr".split()
)


@dataclass(frozen=True)
class Word:
    """A word, or a piece of written text; when it was said, and the probability that it is right."""

    text: str
    start: float  # seconds
    end: float  # seconds
    confidence: float  # 0..1


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, from the start of its first word to the end of its last."""

    start: float  # seconds
    end: float  # seconds
    words: tuple[Word, ...]
    alternatives: tuple[str, ...] = ()  # further texts of an n-best list, the likelier first
    written: tuple[Word, ...] = ()  # the same as text: marks and capitals, numbers in figures; empty: not asked for

    @property
    def text(self) -> str:
        """As people write it; the words said, where it was not to be written."""
        return " ".join(piece.text for piece in self.written or self.words)

    @property
    def spoken(self) -> str:
        """The words said, a space between them."""
        return " ".join(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """Mean over the words; 0 without any."""
        return sum(word.confidence for word in self.words) / max(1, len(self.words))


@dataclass(frozen=True)
class Transcript:
    """What was said in a file, in order of time."""

    file: str
    duration: float  # seconds
    segments: tuple[Segment, ...]
    warning: str = ""  # what was wrong with the audio, if it could be read in part only
    notes: tuple[str, ...] = ()  # what was chosen or left out: a channel, a track

    @property
    def text(self) -> str:
        """All of it in one line, as people write it."""
        return " ".join(segment.text for segment in self.segments if segment.words)

    @property
    def spoken(self) -> str:
        """All words said in one line."""
        return " ".join(segment.spoken for segment in self.segments if segment.words)


class OutputError(Error):
    """A result cannot be written; the message is one sentence for the user."""


class Writer(ABC):
    """A format of transcripts, for people or programs."""

    @abstractmethod
    def write(self, transcript: Transcript, file: TextIO) -> None:
        """Write the whole transcript; ``file`` stays open."""


class StreamWriter(Writer):
    """A format that can be written while a recording is still read."""

    @abstractmethod
    def parts(self, segments: Iterable[Segment]) -> Iterator[str]:
        """Segments in order of time -> the text to write, in parts, each as soon as it is settled."""

    def write(self, transcript: Transcript, file: TextIO) -> None:
        file.writelines(self.parts(sorted(transcript.segments, key=lambda segment: segment.start)))


class PlainText(StreamWriter):
    """A line for each segment."""

    def parts(self, segments: Iterable[Segment]) -> Iterator[str]:
        return (f"{segment.text}\n" for segment in segments if segment.words)


class Table(StreamWriter):
    """Tab-separated start and end in milliseconds, and text: the columns of Whisper's tsv."""

    TITLES = "start\tend\ttext\n"

    def parts(self, segments: Iterable[Segment]) -> Iterator[str]:
        yield self.TITLES
        for segment in filter(lambda s: s.words, segments):
            yield f"{_milliseconds(segment.start)}\t{_milliseconds(segment.end)}\t{segment.text}\n"


class Json(Writer):
    """One object on one line. ASCII, so that no terminal and no file name can break it."""

    def write(self, transcript: Transcript, file: TextIO) -> None:
        content = {
            "file": transcript.file,
            "text": transcript.text,
            "spoken": transcript.spoken,
            "duration": round(transcript.duration, 3),
            "segments": [self._segment(s) for s in transcript.segments],
        }
        if transcript.warning:
            content["warning"] = transcript.warning
        file.write(json.dumps(content) + "\n")

    def _segment(self, segment: Segment) -> dict:
        found = fields(segment) | {"words": [fields(w) for w in segment.words]}
        found |= {"spoken": segment.spoken, "written": [fields(w) for w in segment.written]} if segment.written else {}
        return found | ({"alternatives": segment.alternatives} if segment.alternatives else {})


class SubRip(StreamWriter):
    """Numbered captions: srt."""

    def parts(self, segments: Iterable[Segment]) -> Iterator[str]:
        for number, (start, end, lines) in enumerate(captions(segments), start=1):
            yield f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n" + "\n".join(lines) + "\n\n"


class WebVTT(StreamWriter):
    """Captions for web pages: vtt."""

    def parts(self, segments: Iterable[Segment]) -> Iterator[str]:
        yield "WEBVTT\n\n"
        for start, end, lines in captions(segments):
            shown = "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            yield f"{_clock(start, '.')} --> {_clock(end, '.')}\n{shown}\n\n"


class TextGrid(Writer):
    """Praat's long text format: a tier of words said and one of segments, with empty intervals where nothing is."""

    def write(self, transcript: Transcript, file: TextIO) -> None:
        spoken = [s for s in transcript.segments if s.words]
        words = [(w.start, w.end, w.text) for s in spoken for w in s.words]
        tiers = {"words": words, "segments": [(s.start, s.end, s.spoken) for s in spoken]}
        ends = (_milliseconds(end) for end in (transcript.duration, *(end for _, end, _ in words)))
        last = max(1, len(words), *ends)
        span = f"xmin = 0\nxmax = {last / 1000:.3f}\n"
        file.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
        file.write(f"{span}tiers? <exists>\nsize = {len(tiers)}\nitem []:\n")
        for number, (name, spans) in enumerate(tiers.items(), start=1):
            intervals = list(_filled(spans, last))
            file.write(f'item [{number}]:\nclass = "IntervalTier"\nname = "{name}"\n{span}')
            file.write(f"intervals: size = {len(intervals)}\n")
            for k, (start, end, text) in enumerate(intervals, start=1):
                quoted = text.replace('"', '""')
                file.write(f"intervals [{k}]:\nxmin = {start / 1000:.3f}\nxmax = {end / 1000:.3f}\n")
                file.write(f'text = "{quoted}"\n')


def _filled(spans: list[tuple[float, float, str]], last: int) -> Iterator[tuple[int, int, str]]:
    """Spans in seconds -> intervals in ms that fill 0..last, none of them empty: what Praat demands of a tier."""
    now = 0
    in_order = sorted(spans, key=lambda span: span[:2])  # words of no length stay as they were
    for number, (start, end, text) in enumerate(in_order):
        latest = last - (len(spans) - number)  # a millisecond for each that is still to come
        start = min(max(now, _milliseconds(start)), latest)
        end = min(max(start + 1, _milliseconds(end)), latest + 1)
        if start > now:
            yield now, start, ""
        yield start, end, text
        now = end
    if now < last:
        yield now, last, ""


FORMATS: dict[str, Writer] = {
    "txt": PlainText(), "srt": SubRip(), "vtt": WebVTT(), "tsv": Table(), "json": Json(), "textgrid": TextGrid(),
}  # fmt: skip


def save(transcript: Transcript, path: str, format: str) -> None:
    """Write one file, whole or not at all; its folder is made where it is missing.

    Raises OutputError where the folder or the disk does not take it.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with atomic_write(Path(path)) as partial, partial.open("w", encoding="utf-8") as file:
            FORMATS[format].write(transcript, file)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def captions(segments: Iterable[Segment]) -> Iterator[tuple[int, int, list[str]]]:
    """Segments in order of time -> start and end in milliseconds, and the lines, of one caption after the other.

    Captions never overlap. Where words are said faster than they can be read, a caption stays longer, at most until
    the next one begins.
    """
    groups = (group for segment in segments for group in _grouped(segment.written or segment.words))
    group, start = next(groups, None), 0
    while group:
        following = next(groups, None)
        lines, start = _lines(group), max(start, _milliseconds(group[0].start))
        end = max(_milliseconds(group[-1].end), start + 1000 * sum(map(len, lines)) // READING_RATE)
        end = max(start, min(end, _milliseconds(following[0].start))) if following else end
        yield start, end, lines
        group, start = following, end


def _grouped(words: tuple[Word, ...]) -> Iterator[list[Word]]:
    """The words of one caption after the other: they are parted at pauses, at the end of a sentence that takes more
    than a line, and where they would not fit."""
    group: list[Word] = []
    for word in words:
        over = group and _closeness(group[-1].text) == 0 and len(_lines(group)) > 1
        if over or group and word.start - group[-1].end >= PAUSE_S:
            yield group
            group = []
        while group and len(_lines([*group, word])) > LINES:
            cut = _best_break([*group, word])
            yield group[:cut]
            group = group[cut:]
        group.append(word)
    if group:
        yield group


def _best_break(words: list[Word]) -> int:
    """The number of the word before which a sentence ends, in their last two thirds, or else a part of one in their
    second half; of several, and without any, the one that follows the longest pause, the last of several."""
    ends = [k for k in range(max(1, len(words) // 3), len(words)) if not _closeness(words[k - 1].text)]
    places = ends or range(max(1, len(words) // 2), len(words))
    pauses = {k: round(words[k].start - words[k - 1].end, 3) for k in places}
    return max(places, key=lambda k: (-_closeness(words[k - 1].text), pauses[k], k))


def _lines(words: list[Word]) -> list[str]:
    """Of two lines the first ends where a sentence does, or a part of one, if that can be; else they are alike."""
    text = " ".join(word.text for word in words)
    lines, parts = textwrap.wrap(text, LINE, break_long_words=False, break_on_hyphens=False), text.split()
    halves = [[" ".join(parts[:k]), " ".join(parts[k:])] for k in range(1, len(parts))] if len(lines) == 2 else []
    fitting = [pair for pair in halves if max(map(len, pair)) <= LINE]
    return max(fitting, key=lambda pair: (-_closeness(pair[0]), -abs(len(pair[0]) - len(pair[1]))), default=lines)


def _closeness(text: str) -> int:
    """Of a text to what follows: 0 behind the end of a sentence, 1 behind a part of one, 3 behind a word that leads to
    the next, 2 elsewhere."""
    if text.endswith((".", "?", "!")):
        return 0
    if text.endswith((",", ";", ":")):
        return 1
    return 3 if text.rpartition(" ")[2].lower() in LEADING else 2


def fields(item: Segment | Word) -> dict[str, float | str]:
    """What JSON says of a word or a segment: times in seconds, to the millisecond."""
    times: dict[str, float | str] = {"start": round(item.start, 3), "end": round(item.end, 3)}
    return times | {"text": item.text, "confidence": round(item.confidence, 3)}


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _clock(milliseconds: int, point: str) -> str:
    """hh:mm:ss,mmm; from a hundred hours on, with as many digits as it takes."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
