"""The command `asr transcribe`: what is said in audio files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asr import audio
from asr.commands.expectations import add_expectations, recognizer_options
from asr.commands.terminal import add_model, clock, fail, milliseconds, positive, say
from asr.errors import Error
from asr.transcript import FORMATS, OutputError, Transcript, save

if TYPE_CHECKING:
    from asr.search.decoder import DecoderOptions


def add_transcribe(p: argparse.ArgumentParser) -> None:
    p.description = "Write what is said in audio files, folders of them, or standard input (-)."
    p.add_argument("files", nargs="+", metavar="FILE", help="audio or video file, folder, or - for standard input")
    p.add_argument("--format", choices=FORMATS, default="txt", help="of the result (default: txt)")
    p.add_argument("--output", metavar="DIR", help="write a file for each input there, instead of standard output")
    p.add_argument("--resume", action="store_true", help="skip inputs whose result is in DIR already")
    add_model(p)
    p.add_argument(
        "--beam", type=_beam, metavar="N", help="width of the search; 1 is greedy (default: 256; in letters 64)"
    )
    p.add_argument("--n-best", type=positive, default=1, metavar="N", help="with json: N texts for each segment")
    language = p.add_mutually_exclusive_group()
    language.add_argument("--no-lm", action="store_true", help="search without a language model")
    language.add_argument(
        "--lm", metavar="FILE", help="n-gram model of your own, of words or characters, as `asr lm train` writes it"
    )
    p.add_argument(
        "--letters", action="store_true", help="search in letters, not in the lexicon: any word can come out"
    )
    p.add_argument(
        "--rescore", choices=("attention",), help="let the attention decoder judge the candidates of the search, too"
    )
    p.add_argument(
        "--weights",
        metavar="NAME=X,...",
        help="of lm, word, prior, letters, rnn, attention in a text's score (default: the model's own)",
    )
    add_expectations(p)
    p.add_argument("--latency", type=milliseconds(10_000), metavar="MS",
                   help="decode as a live stream with this latency would")  # fmt: skip
    p.add_argument("--threads", type=positive, metavar="N", help="of the processor (default: 1)")
    p.add_argument("--cluster", metavar="HOST:PORT", help="share the files out among the workers of a dask scheduler")
    p.add_argument("--quiet", action="store_true", help="no progress, no summary; errors are still told")
    p.set_defaults(run=transcribe)


def _beam(text: str) -> int:
    if (width := positive(text)) > 1024:
        raise argparse.ArgumentTypeError("a beam wider than 1024 gains nothing: choose 1 to 1024")
    return width


@dataclass
class Summary:
    files: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0  # of audio
    words: int = 0
    began: float = field(default_factory=time.time)

    def __str__(self) -> str:
        spent = time.time() - self.began
        text = f"{self.files} file{'s' * (self.files != 1)}, {clock(self.seconds)} of audio, {self.words} words"
        text += f" in {spent:.1f} s ({self.seconds / max(spent, 1e-3):.0f} times real time)"
        text += f", {self.skipped} skipped" * (self.skipped > 0)
        return text + f", {self.failed} with errors" * (self.failed > 0)


def transcribe(options: argparse.Namespace) -> int:
    """Exit status 0 when every input was transcribed whole, 1 otherwise, 2 when nothing could start."""
    if options.resume and not options.output:
        return fail("--resume needs --output DIR: it skips what is written there already")
    if options.n_best > 1 and options.format != "json":
        return fail("--n-best needs --format json: the other formats have room for one text")
    if options.cluster and audio.STDIN in options.files:
        return fail("--cluster takes files: standard input is on this machine alone")
    recognizer = _load(options)
    summary = Summary()
    jobs = _jobs(options, summary)
    work = recognizer.over(jobs, not options.output) if options.cluster else ((recognizer, *job) for job in jobs)
    for transcriber, source, target in work:
        if not _one(transcriber, source, target, options, summary):
            summary.failed += 1
    if not options.quiet:
        say(str(summary))
    return 1 if summary.failed else 0


def _jobs(options: argparse.Namespace, summary: Summary) -> Iterator[tuple[str, str | None]]:
    """The inputs that are to be transcribed, and where the result of each goes; None: standard output."""
    taken: set[str] = set()
    for source in audio.find(options.files):
        if isinstance(source, audio.AudioError):
            summary.failed += 1
            say(f"error: {source}")
            continue
        target = _target(source, options, taken) if options.output else None
        if target and options.resume and os.path.exists(target):
            summary.skipped += 1
        else:
            yield source, target


def _load(options: argparse.Namespace):
    """The recogniser, or a cluster of them. Raises asr.errors.Error."""
    search = ("--rescore", "--weights", "--lm", "--no-lm", "--beam")
    given = [name for name in search if getattr(options, name[2:].replace("-", "_"))]
    if options.commands and given:
        raise Error(f"--commands chooses among the commands without a search: leave {' and '.join(given)} out")
    wanted = recognizer_options(options, _decoder(options), latency=options.latency, attention=bool(options.rescore))
    if options.cluster:
        from asr.commands.cluster import connect

        return connect(options.cluster, options.model, wanted, options.threads)
    from asr.recognizer import load

    return load(options.model, wanted, options.threads)


def _decoder(options: argparse.Namespace) -> DecoderOptions:
    """Raises asr.search.options.WeightError."""
    from asr.search.decoder import DecoderOptions
    from asr.search.options import WeightError, Weights, read_weights

    weights = read_weights(options.weights) if options.weights else Weights()
    if weights.attention is not None and not options.rescore:
        raise WeightError("the weight of attention needs --rescore attention")
    search = options.beam, not options.no_lm, not options.letters, options.n_best
    return DecoderOptions(*search, language=options.lm, weights=weights)


def _one(recognizer, source: str, target: str | None, options: argparse.Namespace, summary: Summary) -> bool:
    """Transcribe one input and write the result; True when it came out whole."""
    try:
        with _progress(source, options.quiet) as tell:
            result: Transcript = recognizer.transcribe(source, tell)
        if target:
            save(result, target, options.format)
        else:
            FORMATS[options.format].write(result, sys.stdout)
            sys.stdout.flush()
    except (audio.AudioError, OutputError) as error:
        say(f"error: {error}")
        return False
    summary.files += 1
    summary.seconds += result.duration
    summary.words += sum(len(s.words) for s in result.segments)
    if result.warning:
        say(f"error: {result.warning}")
    return not result.warning


def _target(source: str, options: argparse.Namespace, taken: set[str]) -> str:
    """Where the result of an input goes; inputs of the same name in several folders get a number."""
    stem = "stdin" if source == audio.STDIN else Path(source).stem
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return os.path.join(options.output, f"{name}.{options.format}")


class _Bar:
    """A progress bar in seconds of audio, for a context that lasts as long as a file."""

    def __init__(self, name: str, total: float | None):
        from tqdm import tqdm

        style = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s, {rate_fmt}, {remaining} left"
        self._bar = tqdm(
            desc=Path(name).name,
            total=total,
            bar_format=style if total else None,
            leave=False,
            unit="x real time",
            delay=1.0,
            file=sys.stderr,
        )

    def __enter__(self) -> Callable[[float], None]:
        return lambda seconds: self._bar.update(seconds - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def _progress(source: str, quiet: bool):
    return nullcontext() if quiet or not sys.stderr.isatty() else _Bar(source, audio.duration(source))
