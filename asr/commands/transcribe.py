"""The command `asr transcribe`: what is said in audio files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, tee
from pathlib import Path
from typing import TYPE_CHECKING

from asr import audio
from asr.commands.terminal import (
    INDEX,
    Bar,
    Output,
    add_expectations,
    add_model,
    add_writing,
    clock,
    milliseconds,
    on_one_line,
    positive,
    raw_format,
    recognizer_options,
    say,
    speed,
    written_options,
)
from asr.errors import Error, UsageError
from asr.transcript import FORMATS, OutputError, Segment, StreamWriter, Table, Transcript

if TYPE_CHECKING:
    from asr.search.decoder import DecoderOptions

OTHERS = {"files", "format", "output", "resume", "threads", "cluster", "quiet", "run"}  # no matter for the text


def add_transcribe(p: argparse.ArgumentParser) -> None:
    p.description = "Write what is said in audio files, folders of them, or standard input (-)."
    p.add_argument(
        "files", nargs="+", type=_name, metavar="FILE", help="audio or video file, folder, or - for standard input"
    )
    p.add_argument("--format", choices=FORMATS, help="of the result (default: as --output ends, or txt)")
    p.add_argument("-o", "--output", type=_name, metavar="PATH", help="instead of standard output: a folder, for a "
                   "file for each input, or a file that ends in .txt, .srt and so on, for a single input")  # fmt: skip
    p.add_argument("--resume", action="store_true", help="skip inputs whose result is in the folder, by its "
                   f"{INDEX}, unless the input or the settings have changed")  # fmt: skip
    p.add_argument("--channel", type=positive, metavar="N", help="hear this channel only (default: their mean)")
    p.add_argument("--track", type=positive, metavar="N", help="of a video (default: the first that is not silent)")
    p.add_argument("--raw", type=raw_format, metavar="RATE,WIDTH,CHANNELS",
                   help="inputs without a header: Hz, bytes of a sample, channels; for example 16000,2,1")  # fmt: skip
    add_model(p)
    p.add_argument(
        "--beam", type=_beam, metavar="N", help="width of the search; 1 is greedy (default: 160; in letters 64)"
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
    add_writing(p)
    p.add_argument("--latency", type=milliseconds(10_000), metavar="MS",
                   help="decode as the first pass of a live stream with this latency")  # fmt: skip
    p.add_argument("--threads", type=positive, metavar="N", help="of the processor (default: 1)")
    p.add_argument("--float32", action="store_true", help="no rounding to bytes in the acoustic model")
    p.add_argument("--cluster", metavar="HOST:PORT", help="share the files out among the workers of a dask scheduler")
    p.add_argument("--quiet", action="store_true", help="no progress, no summary; errors are still told")
    p.set_defaults(run=transcribe)


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty: give that of a file or a folder")
    return text


def _beam(text: str) -> int:
    if (width := positive(text)) > 1024:
        raise argparse.ArgumentTypeError("a beam wider than 1024 gains nothing: choose 1 to 1024")
    return width


class Screen(Output):
    """Standard output: text appears while a recording is still read, where the format allows that."""

    def __init__(self, format: str, several: bool):
        """several: there is more than one input, so that each is marked."""
        self._writer, self._several = FORMATS[format], several
        self._mark = several and format == "txt"
        self._column = several and format == "tsv"
        self._begun = False  # something has been written

    def follow(self, source: str, segments: Iterator[Segment]) -> None:
        """Write each as soon as it is found, where the format allows; an input without audio leaves no trace."""
        if not isinstance(self._writer, StreamWriter):
            return super().follow(source, segments)
        first = next(segments, None)
        if self._mark:
            sys.stdout.write("\n" * self._begun + f"==> {on_one_line(source)} <==\n")
        for part in self._writer.parts(chain([first] if first else [], segments)):
            sys.stdout.write(self._with_name(part, source))
            sys.stdout.flush()
            self._begun = True
        self._begun = True

    def _with_name(self, part: str, source: str) -> str:
        """A row of a table with its input in the last column; the row of titles comes once."""
        if not self._column:
            return part
        if part == Table.TITLES:
            return "" if self._begun else part[:-1] + "\tfile\n"
        return f"{part[:-1]}\t{on_one_line(source)}\n"

    def finish(self, source: str, transcript: Transcript) -> None:
        if not isinstance(self._writer, StreamWriter):
            self._writer.write(transcript, sys.stdout)
            sys.stdout.flush()


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
        text = f"{self.files} file{'s' * (self.files != 1)}, {clock(self.seconds)} of audio, "
        text += f"{self.words} word{'s' * (self.words != 1)} in {spent:.1f} s ({speed(self.seconds, spent)})"
        text += f", {self.skipped} skipped" * (self.skipped > 0)
        return text + f", {self.failed} with errors" * (self.failed > 0)


def transcribe(options: argparse.Namespace) -> int:
    """Exit status 0 when every input was transcribed whole, 1 otherwise, 2 when nothing could start."""
    inputs = list(_inputs(options.files))
    out = _output(options, len(inputs))
    recognizer, summary = _load(options), Summary()
    jobs = _jobs(inputs, out, options.resume, summary)
    if options.cluster:
        work = recognizer.over(jobs, in_order=isinstance(out, Screen))
    else:
        work = ((source, recognizer) for source in jobs)
    for source, transcriber in work:
        if not _one(transcriber, source, out, options, summary):
            summary.failed += 1
    if not options.quiet:
        say(str(summary))
    return 1 if summary.failed else 0


def _inputs(files: list[str]) -> Iterator[tuple[str | audio.AudioError, str]]:
    """The inputs in order, each with its place: its name, or its path below the folder it was found in."""
    for path in files:
        for source in audio.find([path]):
            if isinstance(source, str) and os.path.isdir(path):
                yield source, os.path.relpath(source, path)
            else:
                yield source, os.path.basename(path)


def _output(options: argparse.Namespace, inputs: int) -> Output:
    """Where results go. Raises UsageError where the options cannot be meant together."""
    path, suffix = options.output, Path(options.output or "").suffix[1:].lower()
    single = suffix in FORMATS and not os.path.isdir(path) and not path.endswith("/")
    format = options.format or (suffix if single else "txt")
    if options.resume and (single or not path):
        raise UsageError("--resume needs --output DIR: it skips what is written there already")
    if options.n_best > 1 and format != "json":
        raise UsageError("--n-best needs --format json: the other formats have room for one text")
    if options.cluster and audio.STDIN in options.files:
        raise UsageError("--cluster takes files: standard input is on this machine alone")
    if single and format != suffix:
        raise UsageError(f"--output {path} and --format {format} contradict each other: leave one of them out")
    other = suffix[:1].isalpha() and len(suffix) < 6 and not single and not os.path.isdir(path) and path[-1] != "/"
    if other and inputs == 1:  # out.docx would become a folder
        raise UsageError(f"{path}: results are .{', .'.join(FORMATS)}; for a folder of that name type {path}/")
    if single and inputs > 1:
        raise UsageError(f"{path} has room for one result, and there are {inputs} inputs: name a folder instead")
    if path:
        from asr.commands.results import Folder, OneFile, settings_of

        if single:
            return OneFile(path, format)
        return Folder(path, format, settings_of(vars(options), OTHERS))
    if inputs > 1 and format in ("srt", "vtt", "textgrid"):
        raise UsageError(f"{inputs} inputs do not fit into one {format} file: add --output DIR, for a file for each")
    return Screen(format, several=inputs > 1)


def _jobs(
    inputs: list[tuple[str | audio.AudioError, str]], out: Output, resume: bool, summary: Summary
) -> Iterator[str]:
    """The inputs that are to be transcribed."""
    for source, place in inputs:
        if isinstance(source, audio.AudioError):
            summary.failed += 1
            say(f"error: {source}")
            continue
        out.claim(source, place)
        if resume and out.is_done(source):
            summary.skipped += 1
        else:
            yield source


def _load(options: argparse.Namespace):
    """The recogniser, or a cluster of them. Raises asr.errors.Error."""
    search = ("--rescore", "--weights", "--lm", "--no-lm", "--beam")
    given = [name for name in search if getattr(options, name[2:].replace("-", "_"))]
    if options.commands and given:
        raise Error(f"--commands chooses among the commands without a search: leave {' and '.join(given)} out")
    how = {"latency": options.latency, "attention": bool(options.rescore), "float32": options.float32}
    how |= {"written": written_options(options)}
    wanted = recognizer_options(options, _decoder(options), **how)
    if options.cluster:
        from asr.commands.cluster import Order, connect, model_path

        heard = audio.Wanted(options.channel, options.track)
        return connect(options.cluster, Order(model_path(options.model), wanted, options.threads, heard, options.raw))
    from asr.recognizer import load

    return load(options.model, wanted, options.threads)


def _decoder(options: argparse.Namespace) -> DecoderOptions:
    """Raises asr.errors.UsageError."""
    from asr.search.decoder import DecoderOptions
    from asr.search.options import Weights, read_weights

    weights = read_weights(options.weights) if options.weights else Weights()
    if weights.attention is not None and not options.rescore:
        raise UsageError("the weight of attention needs --rescore attention")
    search = options.beam, not options.no_lm, not options.letters, options.n_best
    return DecoderOptions(*search, language=options.lm, weights=weights)


def _one(transcriber, source: str, out: Output, options: argparse.Namespace, summary: Summary) -> bool:
    """Transcribe one input and write the result; True when it came out whole.

    transcriber: a Recognizer, or what came of the input in a cluster: a Transcript or an AudioError.
    """
    shown = isinstance(out, Screen) and sys.stdout.isatty()  # the text itself is the progress
    try:
        if isinstance(transcriber, audio.AudioError):
            raise transcriber
        quiet = options.quiet or shown or not sys.stderr.isatty()
        with nullcontext() if quiet else Bar(source, audio.duration(source)) as tell:
            result = _followed(transcriber, source, out, options, tell)
        out.finish(source, result)
    except (audio.AudioError, OutputError) as error:
        say(f"error: {error}")
        return False
    summary.files += 1
    summary.seconds += result.duration
    summary.words += sum(len(s.words) for s in result.segments)
    for note in () if options.quiet else result.notes:
        say(note)
    if result.warning:
        say(f"error: {result.warning}")
    return not result.warning


def _followed(transcriber, source: str, out: Output, options: argparse.Namespace, tell) -> Transcript:
    """The transcript, whose segments have been given to the output one after the other."""
    if isinstance(transcriber, Transcript):
        out.follow(source, iter(transcriber.segments))
        return transcriber
    from asr.recognizer import told

    recording = audio.Recording(source, audio.Wanted(options.channel, options.track), options.raw)
    segments, found = tee(transcriber.segments(told(recording, tell)))
    out.follow(source, segments)
    return Transcript(source, recording.seconds, tuple(found), recording.warning, tuple(recording.notes))
