"""What commands say on the terminal: on standard error, so that standard output holds results; options of many."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.recognizer import RecognizerOptions
    from asr.search.decoder import DecoderOptions
    from asr.written.options import WrittenOptions


def add_model(p: argparse.ArgumentParser, name: str = "--model", what: str = "") -> None:
    """Which speech recogniser, for asr.load."""
    which = "packaged model, or checkpoint file (default: english)"
    p.add_argument(name, default="english", metavar="NAME", help=what + which)


def positive(text: str) -> int:
    """The type of an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def milliseconds(most: int) -> Callable[[str], float]:
    """The type of an option for a latency of 80 ms or more: "320ms" or "320" -> 320.0"""

    def read(text: str) -> float:
        number = text.removesuffix("ms")
        if not number.isdecimal() or not 80 <= int(number) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no latency: give 80 to {most} ms, for example 320ms")
        return float(number)

    return read


def own_messages() -> None:
    """Give what this program says a descriptor of its own, so that codecs can be kept quiet: asr/audio/quiet.py."""
    if sys.stderr is not None and sys.stderr is sys.__stderr__ and sys.stderr.fileno() == 2:
        with suppress(OSError):  # no descriptor is free
            sys.stderr = open(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


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


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as need be; numbers to the right, under a first row of titles."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    right = [all(cell[:1].isdigit() for cell in column[1:]) for column in zip(*texts)]
    lines = ["  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)


def add_expectations(p: argparse.ArgumentParser) -> None:
    group = p.add_mutually_exclusive_group()
    group.add_argument(
        "--hotwords", metavar="FILE", help="words and phrases to expect, one a line, perhaps a tab and a weight (6)"
    )
    group.add_argument("--commands", metavar="FILE", help="the only things that can be said, one a line")
    p.add_argument("--lexicon", metavar="FILE", help="how words are pronounced: lines of a word, a tab, phonemes")
    p.add_argument(
        "--rejection",
        type=_threshold,
        metavar="X",
        help="with --commands: how far speech may be from a command; less rejects more (default: 2.5)",
    )


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a threshold: give a number above 0, at most 100")
    return value


def recognizer_options(
    options: argparse.Namespace, decoder: DecoderOptions | None = None, **others: Any
) -> RecognizerOptions:
    """decoder: its other options; others: the recogniser's. Raises HotwordError, of one sentence."""
    from asr.recognizer import RecognizerOptions
    from asr.search.decoder import DecoderOptions

    least = 0.0 if options.commands else RecognizerOptions.least_confidence  # commands have their own rejection
    return RecognizerOptions(replace(decoder or DecoderOptions(), **_expectations(options)), least, **others)


def _expectations(options: argparse.Namespace) -> dict[str, Any]:
    from asr.search.hotwords import HotwordError, read_commands, read_hotwords
    from asr.search.lexicon import Lexicon

    if options.rejection and not options.commands:
        raise HotwordError("--rejection needs --commands FILE: it says what is none of the commands")
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
    from asr.search.pronunciations import LexiconError

    own = Lexicon.read(options.lexicon) if options.lexicon else Lexicon()
    words = [word for text in options.words for word in spelt(text, repr(text)).split()]
    if strange := [p for p in own.phonemes if p not in packaged().phonemes]:
        known = " ".join(packaged().phonemes)
        raise LexiconError(f"{options.lexicon} has the phoneme {strange[0]!r}, which is none of {known}")
    lexicon = packaged().overridden(own)
    for word in words:
        for way, source in lexicon.explained(word):
            print(f"{word}\t{way}\t{'your lexicon' if word in own else source}")
    return 0


def add_writing(p: argparse.ArgumentParser, plain: bool = True) -> None:
    """How text that people read is written. plain: it may also stay as it was said."""
    from asr.written.options import WrittenOptions

    if plain:
        p.add_argument("--plain", action="store_true", help="the words as said: no marks, capitals and figures")
    p.add_argument("--numbers", choices=("always", "large", "never"), default=WrittenOptions.numbers, help="in "
                   "figures: all, those of ten and more or with a unit, or none (default: %(default)s)")  # fmt: skip
    p.add_argument("--dates", choices=("said", "us", "uk"), default=WrittenOptions.dates, help="their order: as said, "
                   '"May 3, 2021", or "3 May 2021" (default: %(default)s)')  # fmt: skip


def written_options(options: argparse.Namespace) -> WrittenOptions | None:
    """None: the text stays as it was said."""
    from asr.written.options import WrittenOptions

    return None if options.plain else WrittenOptions(options.numbers, options.dates)
