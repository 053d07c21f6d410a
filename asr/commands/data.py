"""The command `asr data check`: what is wrong with a corpus, before hours are spent on it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.commands.terminal import table
from asr.model.checkpoint import ModelOptions
from asr.training.corpora import UNKNOWN, frames_needed, lost_symbols, read
from asr.training.data import ManifestError, Utterance

MAX_UTTERANCE_S = 40.0  # s that train without trouble: one long utterance makes a batch by itself
SILENT = 1e-3  # RMS of the loudest half, -60 dBFS: nobody would hear that
CLIPPED = 1e-3  # share of samples at full scale
HALF_RATE = 12_000  # Hz: below it half of what the model hears is missing


@dataclass(frozen=True)
class Kind:
    """A kind of problem."""

    said: str
    breaks: bool  # training fails, learns nothing from it, or its result cannot be believed
    advice: str  # what to do


KINDS = {
    "missing": Kind("the audio file is missing", True, "copy it there, or take its line out"),
    "unreadable": Kind("the audio cannot be read", True, "convert it to wav or flac, or take it out"),
    "not numbers": Kind("samples that are NaN, infinite or far too large", True, "write the file again"),
    "duration": Kind("the duration stated is wrong", True, "correct it"),
    "too long": Kind("more letters than frames: the loss would be infinite", True, "correct the text, or cut less"),
    "no text": Kind("no text that the alphabet can write", False, "write the text, or take it out"),
    "symbols": Kind("digits, signs or letters that the alphabet lacks", False, "write them as words"),
    "long": Kind(f"longer than {MAX_UTTERANCE_S:.0f} s: needs a batch of its own", False, "cut it at pauses"),
    "rate": Kind(f"sampled below {HALF_RATE} Hz", False, "keep it if users sound like that"),
    "clipped": Kind("clipped: more than 0.1 % of the samples at full scale", False, "record with less gain"),
    "silent": Kind("silent: below -60 dBFS", False, "take it out, or record anew"),
    "twice": Kind("the same audio as another utterance", False, "take one out"),
    "in both": Kind("the same audio in training and test", True, "take it out of one of them"),
    "said in both": Kind("the same speaker says the same in training and test", False, "keep speakers apart"),
    "speaker in both": Kind("the speaker is in training and test", False, "keep speakers apart"),
}


@dataclass
class Report:
    """Of one set of utterances."""

    path: str
    utterances: int = 0
    seconds: float = 0.0
    speakers: set[str] = field(default_factory=set)
    rates: Counter[int] = field(default_factory=Counter)  # Hz
    symbols: Counter[str] = field(default_factory=Counter)  # that normalisation drops although they are spoken
    problems: dict[str, list[str]] = field(default_factory=dict)  # kind: where
    audio: dict[str, str] = field(default_factory=dict)  # hash of the samples: where
    said: dict[tuple[str, str], str] = field(default_factory=dict)  # speaker and text: where

    def add(self, kind: str, where: str) -> None:
        self.problems.setdefault(kind, []).append(where)

    @property
    def breaks(self) -> bool:
        return any(KINDS[kind].breaks for kind in self.problems)


def add_data(p: argparse.ArgumentParser) -> None:
    p.description = "Look after the data that models are trained on."
    check = p.add_subparsers(title="subcommands", required=True, metavar="SUBCOMMAND").add_parser(
        "check", help="hours, speakers, and what would go wrong in training"
    )
    check.description = "Read a corpus whole and say what is wrong with it. Exit status 1 if it would break training."
    check.add_argument("path", metavar="PATH", help="manifest, TSV of Common Voice, Kaldi, LibriSpeech or other folder")
    check.add_argument("--test", metavar="PATH", help="the test set: nothing of it may be in the training set")
    check.add_argument("--format", choices=("txt", "json"), default="txt", help="of the report (default: txt)")
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 when something would break training, 2 when a set cannot be read at all."""
    reports = [check(path) for path in (options.path, options.test) if path]
    if options.test:
        compare(*reports)
    if options.format == "json":
        print(json.dumps([as_json(r) for r in reports]))
    else:
        print("\n\n".join(as_text(r) for r in reports))
    return 1 if any(r.breaks for r in reports) else 0


def check(path: str) -> Report:
    """Raises ManifestError when nothing can be read."""
    from tqdm import tqdm

    report, utterances = Report(path), read(path)
    for u in tqdm(utterances, desc=path, unit="utterance", leave=False, delay=1, disable=not sys.stderr.isatty()):
        report.utterances += 1
        if u.speaker != UNKNOWN:
            report.speakers.add(u.speaker)
        if u.text and u.speaker != UNKNOWN:
            report.said.setdefault((u.speaker, u.text), u.name)
        for kind in (*_text_problems(u, report), *_audio_problems(u, report)):
            report.add(kind, u.name)
    return report


def _text_problems(u: Utterance, report: Report) -> Iterator[str]:
    if lost := lost_symbols(u.raw):
        report.symbols.update(lost)
        yield "symbols"
    if not u.text:
        yield "no text"


def _audio_problems(u: Utterance, report: Report) -> Iterator[str]:
    from asr.training.augment import loudness
    from asr.training.data import read_counted

    if not u.path.is_file():
        yield "missing"
        return
    try:
        samples, bad, rate = read_counted(u)
    except (ManifestError, OSError):
        yield "unreadable"
        return
    seconds = len(samples) / SAMPLE_RATE
    report.seconds += seconds
    report.rates[rate] += 1
    if bad:
        yield "not numbers"
    if abs(seconds - u.duration) > max(0.1, 0.02 * seconds):
        yield "duration"
    if frames_needed(u.text) > seconds / ModelOptions().frame_seconds:
        yield "too long"
    if seconds > MAX_UTTERANCE_S:
        yield "long"
    if rate < HALF_RATE:
        yield "rate"
    if np.mean(np.abs(samples) >= 0.999) > CLIPPED:
        yield "clipped"
    if loudness(samples) < SILENT:
        yield "silent"
    mark = sha256(np.round(samples * 32767).astype(np.int16).tobytes()).hexdigest()
    if mark in report.audio and len(samples):
        yield "twice"
    report.audio.setdefault(mark, u.name)


def compare(train: Report, test: Report) -> None:
    """Enter into the test set's report what is in both."""
    for mark in test.audio.keys() & train.audio.keys():
        test.add("in both", f"{test.audio[mark]} is {train.audio[mark]}")
    for key in sorted(test.said.keys() & train.said.keys()):
        test.add("said in both", f"{test.said[key]} and {train.said[key]}")
    for speaker in sorted(test.speakers & train.speakers):
        test.add("speaker in both", speaker)


def as_json(report: Report) -> dict:
    problems = [
        {"kind": kind, "breaks": KINDS[kind].breaks, "count": len(found), "where": found}
        for kind, found in report.problems.items()
    ]
    return {
        "path": report.path, "utterances": report.utterances, "hours": report.seconds / 3600,
        "speakers": len(report.speakers), "rates": dict(report.rates), "symbols": dict(report.symbols.most_common()),
        "problems": problems,
    }  # fmt: skip


def as_text(report: Report) -> str:
    rates = ", ".join(f"{n} at {rate} Hz" for rate, n in report.rates.most_common())
    speakers = f"{len(report.speakers)} speakers" if report.speakers else "speakers unknown"
    head = f"{report.path}: {report.utterances} utterances, {report.seconds / 3600:.2f} h, {speakers}; {rates}"
    if not report.problems:
        return f"{head}\nno problems"
    rows: list[Sequence[object]] = [("count", "training", "what", "where", "what to do")]
    for kind in KINDS:
        if found := report.problems.get(kind):
            effect = "breaks" if KINDS[kind].breaks else "goes on"
            where = found[0] + (" ..." if len(found) > 1 else "")
            rows.append((len(found), effect, KINDS[kind].said, where, KINDS[kind].advice))
    symbols = "  ".join(f"{symbol} {n}" for symbol, n in report.symbols.most_common(30))
    return f"{head}\n{table(rows)}" + (f"\nsymbols that are lost: {symbols}" if symbols else "")
