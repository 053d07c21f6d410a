"""The options `--hotwords` and `--commands` of every command that recognises speech."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.recognizer import RecognizerOptions
    from asr.search.decoder import DecoderOptions


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
