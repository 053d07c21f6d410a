"""The command `asr listen`: what is being said, while it is said, from a microphone."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from asr.audio import microphone
from asr.audio.microphone import Microphone, MicrophoneError, MicrophoneOptions
from asr.commands.expectations import add_expectations, recognizer_options
from asr.commands.terminal import add_model, milliseconds

if TYPE_CHECKING:
    from asr.commands.display import Display
    from asr.live.listener import Listener

MAX_LATENCY_MS = 2_000  # ms that whoever speaks would wait for words
REMINDER_INTERVAL_S = 10.0  # s between two lines about the same trouble


def add_listen(p: argparse.ArgumentParser) -> None:
    p.description = "Write what is being said while it is said, and settle each sentence when it ends. Ctrl-C ends."
    p.add_argument(
        "--device", metavar="NAME", help="microphone: its number or a part of its name (default: the system's)"
    )
    p.add_argument("--list-devices", action="store_true", help="show the microphones and stop")
    p.add_argument(
        "--format", choices=("txt", "json"), default="txt", help="json: one object a line, partial results too"
    )
    p.add_argument("--latency", type=milliseconds(MAX_LATENCY_MS), default=320.0, metavar="MS",
                   help="of the model (default: 320ms)")  # fmt: skip
    p.add_argument("--silence", type=float, default=0.6, metavar="S", help="that ends a sentence (default: 0.6 s)")
    p.add_argument("--too-long", type=float, default=30.0, metavar="S", help="sentences are cut there (default: 30 s)")
    p.add_argument("--nothing", type=float, metavar="S", help="stop after so long without a word (default: never)")
    add_model(p)
    add_expectations(p)
    p.set_defaults(run=listen)


def listen(options: argparse.Namespace) -> int:
    """Exit status 0 when nothing was said for so long, 2 when it could not start or lost its microphone."""
    from asr.commands.display import Display
    from asr.recognizer import LOAD_ERRORS

    display = Display(sys.stdout, sys.stderr, options.format)
    try:
        if options.list_devices:
            print(*microphone.devices(), sep="\n")
            return 0
        listener = _listener(options)
        with Microphone(MicrophoneOptions(options.device), display.say) as source, stopped_by_signals(source):
            display.say(f"listening to {source.device.name}; Ctrl-C ends")
            follow(listener, source, display)
    except (MicrophoneError, *LOAD_ERRORS) as error:
        display.say(f"error: {error}")
        return 2
    finally:
        display.close()
    return 0


def follow(listener: Listener, blocks: Iterable[np.ndarray], display: Display) -> None:
    """Show what is said in the blocks, until they end or the endpoints' rule `nothing` applies."""
    from asr.live.meter import level

    stream, remind_at = listener.stream(), 0.0
    for block in blocks:
        results = stream.feed(block)
        for result in results:
            display.result(result)
        display.loudness(level(block))
        if stream.pace.warning and time.monotonic() >= remind_at:
            display.say(stream.pace.warning)
            remind_at = time.monotonic() + REMINDER_INTERVAL_S
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
    from asr.live.endpoint import EndpointOptions
    from asr.live.listener import Listener, ListenerOptions
    from asr.recognizer import load

    nothing = float("inf") if options.nothing is None else options.nothing
    endpoints = EndpointOptions(nothing, options.silence, options.too_long)
    recognizer = load(options.model, recognizer_options(options), threads=1)  # a stream's steps are too small to share
    return Listener(recognizer, ListenerOptions(options.latency, endpoints))
