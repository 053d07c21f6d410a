"""The command `asr serve`: its options, and how it starts."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.listen import add_latency
from asr.commands.terminal import add_model, add_writing, fail, positive, say, written_options
from asr.errors import UsageError
from asr.serve import Limits, listening_socket, network, read_token, wyoming_address

if TYPE_CHECKING:
    from asr.serve.service import Service

GATHER_S = 15.0  # s of speech of an upload that are recognised in one step, in which live streams wait
MISSING = "asr serve needs further packages: pip install 'asr[serve]'"


def add_serve(p: argparse.ArgumentParser) -> None:
    p.description = "Transcribe for other programs: HTTP as the OpenAI API has it, WebSocket, Wyoming, and a page."
    p.add_argument(
        "--host", default="127.0.0.1", metavar="NAME", help="address to listen at (default: this machine only)"
    )
    p.add_argument("--port", type=int, default=8765, metavar="N", help="(default: 8765; 0: any free one)")
    p.add_argument("--token-file", type=Path, metavar="FILE", help="clients must know the token in it")
    p.add_argument("--wyoming", metavar="HOST:PORT", help="also serve Home Assistant, for example 0.0.0.0:10300")
    p.add_argument(
        "--allow", type=network, action="append", default=[], metavar="NET",
        help="address or network whose clients Wyoming, which has no token, may serve; repeat for more",
    )  # fmt: skip
    p.add_argument(
        "--wake", action="append", default=[], metavar="NAME_OR_FILE",
        help="wake word to offer; repeat for more (default: all packaged ones)",
    )  # fmt: skip
    p.add_argument(
        "--phrase", action="append", default=[], metavar="WORDS",
        help="any words as a wake word, by the speech recogniser, without training; repeat for more",
    )  # fmt: skip
    add_model(p)
    add_latency(p)
    add_writing(p)
    p.add_argument("--threads", type=positive, default=1, metavar="N",
                   help="of the processor, for recognition (default: 1)")  # fmt: skip
    p.add_argument("--log-text", action="store_true", help="write what is recognised to the log")
    _add_limits(p.add_argument_group("limits"))
    p.set_defaults(run=serve)


def _add_limits(p: argparse._ArgumentGroup) -> None:
    d = Limits()
    for name, default, unit, text in (
        ("--max-upload", d.upload / 1e6, "MB", "of a file"),
        ("--max-minutes", d.duration / 60, "N", "of audio in a file"),
        ("--max-files", d.files, "N", "arriving, waiting or worked on"),
        ("--max-streams", d.streams, "N", "live at a time"),
        ("--max-connections", d.connections, "N", "open at a time"),
        ("--idle", d.idle, "S", "in which a client sends nothing"),
        ("--grace", d.grace, "S", "to finish what is under way after SIGTERM"),
    ):
        p.add_argument(name, type=type(default), default=default, metavar=unit, help=f"{text} (default: {default:g})")


def serve(options: argparse.Namespace) -> int:
    """Exit status 2 when it could not start."""
    try:
        import websockets  # noqa: F401  uvicorn looks for it when the first socket is asked for

        from asr.serve.app import GracefulServer, application
        from asr.serve.wyoming import WyomingServer
    except ModuleNotFoundError as error:
        return fail(f"{MISSING} ({error.name} is missing)")
    if options.allow and not options.wyoming:
        return fail("--allow says whom Wyoming may serve: give --wyoming HOST:PORT, too")
    token, limits = read_token(options.token_file, options.host), _limits(options)
    listening = listening_socket(options.host, options.port)
    wyoming = listening_socket(*wyoming_address(options.wyoming, options.allow)) if options.wyoming else None
    service = _service(options, limits, token)
    if wyoming:
        say(f"serving Wyoming at port {wyoming.getsockname()[1]}")
    beside = WyomingServer(service, wyoming, options.allow).run if wyoming else None
    GracefulServer(application(service, beside), service).run([listening])
    return 0


def _service(options: argparse.Namespace, limits: Limits, token: str) -> Service:
    """Raises asr.errors.Error where a model or a wake word cannot be had."""
    from asr.live import Listener, ListenerOptions
    from asr.recognizer import RecognizerOptions, load
    from asr.serve.service import Service, wake_words

    wanted = RecognizerOptions(gather=GATHER_S, written=written_options(options))
    recognizer = load(options.model, wanted, threads=options.threads)
    listener = Listener(recognizer, ListenerOptions(options.latency, second_pass=not options.one_pass))
    detectors = wake_words().detectors(options.wake, options.phrase, recognizer)
    return Service(recognizer, listener, limits, detectors, Path(options.model).stem, token, options.log_text)


def _limits(options: argparse.Namespace) -> Limits:
    """Raises UsageError."""
    given = {name: getattr(options, f"max_{name}") for name in ("files", "streams", "connections")}
    given |= {"upload": options.max_upload * 1e6, "duration": 60 * options.max_minutes}
    limits = Limits(idle=options.idle, grace=options.grace, **given)
    if not all(0 < getattr(limits, field.name) < math.inf for field in dataclasses.fields(limits)):
        raise UsageError("every limit must be a number above 0")
    return limits
