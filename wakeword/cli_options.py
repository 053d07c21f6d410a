"""What the commands that use a detector share: which one, at which threshold, confirmed by whom."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from asr.commands.terminal import add_model as add_recogniser
from asr.errors import UsageError
from wakeword.detector import WakeWordDetector, load
from wakeword.listen import Heard

if TYPE_CHECKING:
    from asr.model.interface import AcousticModel


def add_model(p: argparse.ArgumentParser, *name: str, nargs: str | None = None, rates: bool = True) -> None:
    """name: how the detector is given, as "--model" or as an argument without dashes.

    rates: False where the figures are of all rates anyway.
    """
    p.add_argument(*name, nargs=nargs, metavar="NAME_OR_FILE", help="packaged detector or a file")
    p.add_argument(
        "--phrase", metavar="WORDS", help="instead of a detector: any words, by the speech recogniser, without training"
    )
    add_recogniser(p, "--recogniser", "for --phrase, --verify and --then: ")
    at = p.add_mutually_exclusive_group()
    at.add_argument("--threshold", type=float, metavar="P", help="0..1, instead of the detector's own")
    if rates:
        at.add_argument(
            "--rate", type=float, metavar="N", help="the threshold for N false alarms an hour: 0.1, 0.5, 1 or 3"
        )
    p.set_defaults(rate=None)


def add_verify(p: argparse.ArgumentParser) -> None:
    p.add_argument("--verify", action="store_true", help="ask the speech recogniser, too, whether it was the phrase")


def opened(options: argparse.Namespace) -> WakeWordDetector:
    """The detector that the options ask for. Raises ValueError."""
    if bool(options.model) == bool(options.phrase):
        raise UsageError(
            'give a detector (a name or a file), or --phrase and any words, for example --phrase "hey you"'
        )
    if options.model:
        return load(options.model, options.threshold, options.rate)
    from wakeword.spotter import spotter

    return spotter(acoustic_model(options.recogniser)[0], options.phrase, options.threshold, options.rate)


def confirmation(detector: WakeWordDetector, options: argparse.Namespace) -> Callable[[Heard], bool]:
    """What has the last word on a detection: the CTC model with --verify, else nobody."""
    if not options.verify:
        return lambda heard: True
    from wakeword.phonemes.verify import Verifier

    verifier = Verifier(acoustic_model(options.recogniser)[0], detector.phrase)
    return lambda heard: verifier(heard.samples)


@cache
def acoustic_model(name: str) -> tuple[AcousticModel, dict]:
    """The recogniser's acoustic model and its card, loaded once for --phrase, --verify and --then."""
    from asr.model.onnx import load_model

    return load_model(name)
