"""The command `asr listen`: what is being said, while it is said, from a microphone."""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import numpy as np

from asr.audio import microphone
from asr.audio.microphone import Microphone, MicrophoneOptions
from asr.commands.terminal import (
    add_expectations,
    add_model,
    add_writing,
    milliseconds,
    recognizer_options,
    written_options,
)

if TYPE_CHECKING:
    from asr.live import Listener
    from asr.live.stream import Result

MAX_LATENCY_MS = 2_000  # ms that whoever speaks would wait for words
CAUGHT_UP_S = 0.1  # s of lag below which a machine that was late has caught up
METER_FLOOR_DB = -60.0  # dB; the meter shows nothing below
ERASE, DIM, PLAIN = "\r\x1b[K", "\x1b[2m", "\x1b[0m"


def add_listen(p: argparse.ArgumentParser) -> None:
    p.description = "Write what is being said while it is said, and settle each sentence when it ends. Ctrl-C ends."
    p.add_argument(
        "--device", metavar="NAME", help="microphone: its number or a part of its name (default: the system's)"
    )
    p.add_argument("--list-devices", action="store_true", help="show the microphones and stop")
    p.add_argument(
        "--format", choices=("txt", "json"), default="txt", help="json: one object a line, partial results too"
    )
    add_latency(p)
    p.add_argument("--silence", type=float, default=0.6, metavar="S", help="that ends a sentence (default: 0.6 s)")
    p.add_argument("--too-long", type=float, default=30.0, metavar="S", help="sentences are cut there (default: 30 s)")
    p.add_argument("--nothing", type=float, metavar="S", help="stop after so long without a word (default: never)")
    add_model(p)
    add_expectations(p)
    add_writing(p)
    p.set_defaults(run=listen)


def add_latency(p: argparse.ArgumentParser) -> None:
    p.add_argument("--latency", type=milliseconds(MAX_LATENCY_MS), default=320.0, metavar="MS",
                   help="of the words while they are said (default: 320ms)")  # fmt: skip
    p.add_argument("--one-pass", action="store_true",
                   help="do not hear a sentence again at its end: cheaper, with more errors")  # fmt: skip


def listen(options: argparse.Namespace) -> int:
    """Exit status 0 when nothing was said for so long, 2 when it could not start or lost its microphone."""
    display = Display(sys.stdout, sys.stderr, options.format)
    try:
        if options.list_devices:
            print(*microphone.devices(), sep="\n")
            return 0
        listener = _listener(options)
        with Microphone(MicrophoneOptions(options.device), display.say) as source, stopped_by_signals(source):
            display.say(f"listening to {source.device.name}; Ctrl-C ends")
            follow(listener, source, display)
    finally:
        display.close()
    return 0


def follow(listener: Listener, blocks: Iterable[np.ndarray], display: Display) -> None:
    """Show what is said in the blocks, until they end or the endpoints' rule `nothing` applies."""
    stream, late = listener.stream(), False
    for block in blocks:
        results = stream.feed(block)
        for result in results:
            display.result(result)
        display.loudness(level(block))
        if not late and stream.pace.warning:
            late = True
            display.say(f"{stream.pace.warning}; what is said meanwhile is kept and follows")
        elif late and stream.pace.lag < CAUGHT_UP_S:
            late = False
            display.say("this machine has caught up")
        if any(result.kind == "nothing" for result in results):
            break
    for result in stream.flush():
        display.result(result)


@contextmanager
def stopped_by_signals(source: Microphone) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the source, and is raised when the rest is done; the second one is raised at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopped = False

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        restore()
        source.stop()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()
    if stopped:
        raise KeyboardInterrupt


def _listener(options: argparse.Namespace) -> Listener:
    from asr.live import Listener
    from asr.live.utterance import EndpointOptions, ListenerOptions
    from asr.recognizer import load

    nothing = float("inf") if options.nothing is None else options.nothing
    endpoints = EndpointOptions(nothing, options.silence, options.too_long)
    wanted = recognizer_options(options, written=written_options(options))
    recognizer = load(options.model, wanted, threads=1)  # a stream's steps are too small to share
    return Listener(recognizer, ListenerOptions(options.latency, endpoints, not options.one_pass))


class Display:
    """Results go to `out`: txt is a line for each sentence, json an object on a line for each result, partials too.

    Where `live` is a terminal it shows the loudness and the sentence so far, what may still change in grey;
    elsewhere only what is said to it.
    """

    def __init__(self, out: TextIO, live: TextIO, format: str = "txt"):
        self._out, self._live, self._format = out, live, format
        self._redraws = live.isatty()
        self._level_db, self._text, self._stable = METER_FLOOR_DB, "", ""

    def result(self, result: Result) -> None:
        """Show a result, or write it where it belongs to the output."""
        self._text, self._stable = (result.text, result.stable) if result.kind == "partial" else ("", "")
        line = result.as_json() if self._format == "json" else result.text * (result.kind == "final")
        if line:
            self._erase()
            print(line, file=self._out, flush=True)
        self._draw()

    def loudness(self, decibels: float) -> None:
        """Of the newest block."""
        self._level_db = decibels
        self._draw()

    def say(self, text: str) -> None:
        """A line to the user, beside the results."""
        self._erase()
        print(text, file=self._live, flush=True)
        self._draw()

    def close(self) -> None:
        """Nothing more is shown; the line that is redrawn disappears."""
        self._erase()
        self._redraws = False

    def _erase(self) -> None:
        if self._redraws:
            self._live.write(ERASE)
            self._live.flush()

    def _draw(self) -> None:
        if self._redraws:
            width = shutil.get_terminal_size().columns
            self._live.write(ERASE + live_line(self._level_db, self._text, self._stable, width))
            self._live.flush()


def live_line(decibels: float, text: str, stable: str, width: int) -> str:
    """The meter and as much of the text's end as fits a terminal of that width."""
    meter = f"[{bar(decibels)}] "
    over = len(text) - max(0, width - 1 - len(meter))
    if over > 0:
        text, stable = text[over:], stable[over:]
    return meter + stable + DIM + text[len(stable) :] + PLAIN


def level(samples: np.ndarray) -> float:
    """The loudness of a block (n,) in -1..1: root mean square in dB below full scale, at least METER_FLOOR_DB."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(METER_FLOOR_DB, 10 * math.log10(power)) if power > 0 else METER_FLOOR_DB


def bar(decibels: float, width: int = 10) -> str:
    """-30.0 -> "#####-----" """
    filled = round(width * (1 - min(0.0, decibels) / METER_FLOOR_DB))
    return "#" * filled + "-" * (width - filled)
