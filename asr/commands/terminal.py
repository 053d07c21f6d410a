"""What commands have in common: what they say on standard error, progress, where results go, options of several."""

from __future__ import annotations

import argparse
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.recognizer import RecognizerOptions
    from asr.search.decoder import DecoderOptions
    from asr.transcript import Segment, Transcript
    from asr.written import WrittenOptions

INDEX = "asr-results.jsonl"  # in a folder of results


def add_model(p: argparse.ArgumentParser, name: str = "--model", what: str = "") -> None:
    """Which speech recogniser, for asr.load."""
    which = "packaged model, or checkpoint file (default: english)"
    p.add_argument(name, default="english", metavar="NAME", help=what + which)


def positive(text: str) -> int:
    """The type of an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def number(most: float, otherwise: str) -> Callable[[str], float]:
    """The type of an option for a number above 0. otherwise: what anything else, or more than the most, is said to be.

    NaN is refused, and so is infinity.
    """

    def read(text: str) -> float:
        with suppress(ValueError):
            if 0 < (value := float(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is {otherwise}")

    return read


def milliseconds(most: int) -> Callable[[str], float]:
    """The type of an option for a latency of 80 ms or more: "320ms" or "320" -> 320.0"""

    def read(text: str) -> float:
        number = text.removesuffix("ms")
        if not number.isdecimal() or not 80 <= int(number) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no latency: give 80 to {most} ms, for example 320ms")
        return float(number)

    return read


def raw_format(text: str) -> tuple[int, int, int]:
    """The type of --raw."""
    numbers = [int(n) if n.isdecimal() else 0 for n in text.split(",")]
    if len(numbers) != 3 or not (1_000 <= numbers[0] <= 1_000_000 and 1 <= numbers[1] <= 4 and 1 <= numbers[2] <= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is not RATE,WIDTH,CHANNELS: give for example 16000,2,1")
    return numbers[0], numbers[1], numbers[2]


def own_messages() -> None:
    """Give what this program says a descriptor of its own, so that codecs can be kept quiet: asr/audio/quiet.py."""
    own = sys.__stderr__
    if own is not None and sys.stderr is own and own.fileno() == 2:
        with suppress(OSError):  # no descriptor is free
            sys.stderr = open(os.dup(2), "w", buffering=1, encoding=own.encoding, errors="backslashreplace")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(text: str) -> int:
    """Say what is wrong -> the exit status of a command that could not start."""
    say(f"error: {text}")
    return 2


def clock(seconds: float) -> str:
    """3723.5 -> 1:02:03"""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 60 else f"{seconds:.1f} s"


def on_one_line(name: str) -> str:
    """A file's name on one line, whatever bytes it has."""
    readable = name.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(c if c.isprintable() else "?" for c in readable)


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as need be; numbers to the right, under a first row of titles."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    right = [all(cell[:1].isdigit() for cell in column[1:]) for column in zip(*texts)]
    lines = ["  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)


class Output(ABC):
    """Where results go."""

    def follow(self, source: str, segments: Iterator[Segment]) -> None:
        """Take the segments of an input as they are found, all of them. What they raise is passed on."""
        deque(segments, maxlen=0)

    def claim(self, source: str, place: str) -> None:
        """Give an input the name of its result: by its place (the path below the folder it was found in)."""

    def is_done(self, source: str) -> bool:
        """Is there a whole result of this very input, unchanged, with the same settings?"""
        return False

    @abstractmethod
    def finish(self, source: str, transcript: Transcript) -> None:
        """Write what has not been written yet. Raises OutputError."""


class Bar:
    """A progress bar in seconds of audio, for a context that lasts as long as a file."""

    def __init__(self, name: str, total: float | None):
        from tqdm import tqdm

        of = "{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s{postfix}, {remaining} left"
        style = "{desc}: " + (of if total else "{n:.0f} s{postfix}")
        self._began = time.monotonic()
        self._bar = tqdm(desc=Path(name).name, total=total, bar_format=style, leave=False, delay=1.0, file=sys.stderr)

    def __enter__(self) -> Callable[[float], None]:
        return self._tell

    def _tell(self, seconds: float) -> None:
        self._bar.set_postfix_str(speed(seconds, time.monotonic() - self._began), refresh=False)
        self._bar.update(seconds - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def speed(seconds: float, spent: float) -> str:
    return f"{seconds / max(spent, 1e-3):.0f} times real time"


def add_expectations(p: argparse.ArgumentParser) -> None:
    group = p.add_mutually_exclusive_group()
    group.add_argument(
        "--hotwords", metavar="FILE", help="words and phrases to expect, one a line, perhaps a tab and a weight (6)"
    )
    group.add_argument("--commands", metavar="FILE", help="the only things that can be said, one a line")
    p.add_argument("--lexicon", metavar="FILE", help="how words are pronounced: lines of a word, a tab, phonemes")
    p.add_argument(
        "--rejection",
        type=number(100, "not a threshold: give a number above 0, at most 100"),
        metavar="X",
        help="with --commands: how far speech may be from a command; less rejects more (default: 2.5)",
    )


def recognizer_options(
    options: argparse.Namespace, decoder: DecoderOptions | None = None, **others: Any
) -> RecognizerOptions:
    """decoder: its other options; others: the recogniser's. Raises UsageError, of one sentence."""
    from asr.recognizer import RecognizerOptions
    from asr.search.decoder import DecoderOptions

    least = 0.0 if options.commands else RecognizerOptions.least_confidence  # commands have their own rejection
    return RecognizerOptions(replace(decoder or DecoderOptions(), **_expectations(options)), least, **others)


def _expectations(options: argparse.Namespace) -> dict[str, Any]:
    from asr.search.hotwords import read_commands, read_hotwords
    from asr.search.lexicon import Lexicon

    if options.rejection and not options.commands:
        raise UsageError("--rejection needs --commands FILE: it says what is none of the commands")
    found: dict[str, Any] = {}
    if options.lexicon:
        found["pronunciations"] = tuple(Lexicon.read(options.lexicon).pairs())
    if options.hotwords:
        found["hotwords"] = read_hotwords(options.hotwords)
    if options.commands:
        found["commands"] = read_commands(options.commands)
    return found | ({"rejection": options.rejection} if options.rejection else {})


def add_say_how(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Show how words will be pronounced as hotwords, commands and wake words: a line for each way that is tried, "
        "with its phonemes (those of CMUdict) and where they come from. A way that you miss goes into a lexicon of "
        "your own, lines of a word, a tab and phonemes, for --lexicon."
    )
    p.add_argument("words", nargs="+", metavar="WORD", help="word or phrase, as it is spoken")
    p.add_argument("--lexicon", metavar="FILE", help="pronunciations of your own")
    p.set_defaults(run=say_how)


def say_how(options: argparse.Namespace) -> int:
    from asr.search.hotwords import spelt
    from asr.search.lexicon import Lexicon, packaged

    own = Lexicon.read(options.lexicon) if options.lexicon else Lexicon()
    words = [word for text in options.words for word in spelt(text, repr(text)).split()]
    if strange := [p for p in own.phonemes if p not in packaged().phonemes]:
        known = " ".join(packaged().phonemes)
        raise UsageError(f"{options.lexicon} has the phoneme {strange[0]!r}, which is none of {known}")
    lexicon = packaged().overridden(own)
    for word in words:
        for way, source in lexicon.explained(word):
            print(f"{word}\t{way}\t{'your lexicon' if word in own else source}")
    return 0


def add_writing(p: argparse.ArgumentParser, plain: bool = True) -> None:
    """How text that people read is written. plain: it may also stay as it was said."""
    from asr.written import WrittenOptions

    if plain:
        p.add_argument("--plain", action="store_true", help="the words as said: no marks, capitals and figures")
    p.add_argument("--numbers", choices=("always", "large", "never"), default=WrittenOptions.numbers, help="in "
                   "figures: all, those of ten and more or with a unit, or none (default: %(default)s)")  # fmt: skip
    p.add_argument("--dates", choices=("said", "us", "uk"), default=WrittenOptions.dates, help="their order: as said, "
                   '"May 3, 2021", or "3 May 2021" (default: %(default)s)')  # fmt: skip


def written_options(options: argparse.Namespace) -> WrittenOptions | None:
    """None: the text stays as it was said."""
    from asr.written import WrittenOptions

    return None if options.plain else WrittenOptions(options.numbers, options.dates)
