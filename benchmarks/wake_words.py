"""Wake-word engines beside each other on the same audio: misses, false alarms, delay, cost.

    python -m benchmarks.wake_words snowboy --detector snowboy.safetensors --positives wake-dev.jsonl \\
        --negatives dev.jsonl --noise noise.jsonl

writes wake-words-snowboy.csv, .md and a DET plot for each condition. Engines that have no model of the phrase are
left out. Without --positives, installed synthesisers speak the phrase: by voices that no --detector was trained with
or, where there is none, by speakers held out. The peers get a virtual environment of their own, once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr import audio
from benchmarks import measure
from benchmarks.measure import ENVIRONMENT, install
from benchmarks.wake_engines import ENGINES
from benchmarks.wake_sound import (
    LEAD_IN,
    Heard,
    Material,
    ProtocolOptions,
    SpeakOptions,
    everyday,
    picovoice,
    spoken,
)
from wakeword.detector import load
from wakeword.evaluate import EvaluationOptions
from wakeword.evaluate.clips import CLEAN, ClipOptions, Recording, recordings, with_phrase, without_phrase
from wakeword.evaluate.report import CONDITION_NOTES, COUNTED, DELAY, PlotError, Report, Row, det
from wakeword.phrase import check, slug
from wakeword.scoring import AS_SET

DELAY_AT = 0.5  # false alarms an hour: the delay is that of the threshold for so many
NOTES = (
    "In brackets 95 % intervals: a bootstrap over clips, or over minutes of audio for false alarms.\n\n"
    "Misses in %, at the lowest threshold that gives no more than so many false alarms an hour on this very audio:"
)
PATIENCE = 48 * 3600  # s for one engine


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    name: str
    engine: str  # of benchmarks.wake_engines
    model: str | None  # None: it has none of this phrase


@dataclass(frozen=True)
class Outcome:
    """What one engine did; without a report, ``failure`` says why."""

    entry: Entry
    failure: str = ""
    report: Report | None = None
    facts: Row = field(default_factory=dict)  # model, versions, cost

    @property
    def misses(self) -> Row:
        """At each swept threshold; x, x low and x high are an estimate and its interval."""
        found: Row = {}
        for r in self.report.misses if self.report else ():
            if r["set"] != AS_SET:
                found |= estimate(f"{r['wanted per hour']:g}/h {r['condition']}", r, "miss %")
        return found

    @property
    def own(self) -> Row:
        """At the engine's own threshold; and the delay."""
        found, delay = {}, {}
        for r in self.report.alarms if self.report else ():
            if r["set"] == AS_SET and r["negatives"] == COUNTED:
                found |= estimate("alarms an hour", r, "per hour")
        for r in self.report.misses if self.report else ():
            if r["set"] == AS_SET:
                found |= estimate(f"miss % {r['condition']}", r, "miss %")
            elif r["wanted per hour"] == DELAY_AT and r["condition"] == CLEAN and DELAY in r:
                delay = {DELAY: r[DELAY]}
        return found | delay


def main() -> int:
    options, machine, left_out = parser().parse_args(), measure.machine(), []
    with tempfile.TemporaryDirectory(prefix="asr-benchmark-", dir=options.scratch) as name:
        folder = Path(name)
        (folder / "wavs").mkdir()
        try:
            options.phrase = check(options.phrase)
            clips = measure.spread(with_phrase(positives(options), options.phrase), options.limit)
            material = laid_out(clips, options, folder / "wavs", left_out)
        except (ValueError, OSError, audio.AudioError) as error:  # each holds one sentence
            print(f"error: {error}", file=sys.stderr)
            return 2
        outcomes = []
        for entry in entries(options):
            outcomes.append(outcome(entry, material, folder, options))
            print(entry.name, outcomes[-1].failure or "done", file=sys.stderr, flush=True)
    about = f"{described(clips, material, options)} One thread each. {machine}."
    name = f"wake-words-{slug(options.phrase)}" + ("-picovoice" if options.protocol == "picovoice" else "")
    print(write(outcomes, about, left_out, options.out / name))
    return 1 if any(o.failure for o in outcomes) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("phrase", help='for example "hey jarvis"')
    top.add_argument("--detector", nargs="+", default=[], metavar="NAME_OR_FILE", help="ours: packaged, or files")
    top.add_argument("--positives", nargs="+", metavar="PATH", help="recordings of the phrase: manifests, folders")
    top.add_argument("--speak", type=int, default=200, metavar="N", help="without them: clips by synthesisers")
    top.add_argument("--voices", default="", metavar="A,B", help="that speak them (default: all that are installed)")
    top.add_argument("--negatives", nargs="+", required=True, metavar="PATH", help="speech without the phrase")
    top.add_argument("--noise", nargs="+", required=True, metavar="PATH", help="laid under the phrase")
    top.add_argument("--snr", type=float, default=10.0, metavar="DB", help="loudest frame against loudest frame")
    top.add_argument("--conditions", action="store_true",
                     help="also across a room, by telephone, very quietly, beside a talker")  # fmt: skip
    top.add_argument("--limit", type=int, metavar="N", help="N clips, spread evenly over them")
    top.add_argument("--every", type=int, default=1, metavar="N", help="of the negatives take each N-th only")
    top.add_argument("--protocol", choices=("everyday", "picovoice"), default="everyday",
                     help="clips one by one, or all in one stream over noise (default: everyday)")  # fmt: skip
    top.add_argument("--hours", type=float, default=24.0, help="of the stream of Picovoice's protocol")
    top.add_argument("--only", nargs="+", choices=ENGINES, metavar="ENGINE", help=f"of {'; '.join(ENGINES)}")
    top.add_argument("--environment", type=Path, metavar="DIR", default=ENVIRONMENT.with_name("asr-wake-words"),
                     help="virtual environment of the peers: made, and filled where it lacks a package")  # fmt: skip
    top.add_argument("--scratch", type=Path, metavar="DIR", help="for the audio, 115 MB an hour (default: /tmp)")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def laid_out(clips: list[Recording], options: argparse.Namespace, folder: Path, left_out: list[str]) -> Material:
    speech = without_phrase(recordings(options.negatives), options.phrase)[:: options.every]
    noises = recordings(options.noise)
    if options.protocol == "picovoice":
        return picovoice(clips, speech, noises, folder, ProtocolOptions(options.hours, options.snr))
    how = ClipOptions((options.snr,), LEAD_IN, conditions=options.conditions)
    return everyday(clips, speech, noises, folder, how, left_out)


def positives(options: argparse.Namespace) -> list[Recording]:
    if options.positives:
        return recordings(options.positives)
    known = frozenset(voice for name in options.detector for voice in load(name).card.get("voices", ()))
    wanted = SpeakOptions(options.speak, tuple(filter(None, options.voices.split(","))), known)
    folder = options.environment.with_name(f"{options.environment.name}-spoken") / slug(options.phrase)
    return spoken(options.phrase, folder, wanted, lambda done: print(done, "clips spoken", file=sys.stderr))


def entries(options: argparse.Namespace) -> list[Entry]:
    found = []
    for name in options.only or ENGINES:
        if name == "ours":
            found += [Entry(f"ours: {Path(model).stem}", name, detector_path(model)) for model in options.detector]
        else:
            found.append(Entry(name, name, ENGINES[name].model(options.phrase)))
    return found


def detector_path(name: str) -> str:
    """Files are found from here, engines run elsewhere."""
    return str(Path(name).resolve()) if Path(name).is_file() else name


def outcome(entry: Entry, material: Material, folder: Path, options: argparse.Namespace) -> Outcome:
    """Two processes: the scores of everything, and what listening costs."""
    if entry.model is None:
        return Outcome(entry)
    packages, python = ENGINES[entry.engine].packages, sys.executable
    if packages:
        python = str(options.environment / "bin" / "python")
        if problem := install(options.environment, packages):
            return Outcome(entry, problem)
    found = {}
    longest = max(material.wavs, key=lambda wav: Path(wav).stat().st_size)
    for cost, wavs in ((False, material.wavs), (True, [longest])):
        job = {"engine": entry.engine, "model": entry.model, "wavs": wavs, "cost": cost}
        problem, result = work(python, job, folder)
        if problem:
            return Outcome(entry, problem)
        found |= result
    heard = Heard(*(float(found[key]) for key in ("threshold", "step", "first")))
    measured = material.heard(heard, [found[f"scores {i}"] for i in range(len(material.wavs))])
    facts: Row = {key: float(found[key]) for key in ("CPU s an hour", "peak MB")}
    facts |= {key: str(found[key]) for key in ("model", "versions")}
    return Outcome(entry, "", measured.report(options.phrase, EvaluationOptions(), []), facts)


def work(python: str, job: dict, folder: Path) -> tuple[str, dict[str, np.ndarray]]:
    """-> what went wrong, or the result of benchmarks.wake_engines.work."""
    question, answer = folder / "job.json", folder / "result.npz"
    question.write_text(json.dumps(job))
    done = measure.run([python, "-m", "benchmarks.wake_engines", str(question), str(answer)], PATIENCE)
    if done.status:
        return done.failure, {}
    with np.load(answer) as file:
        return "", dict(file)


def described(clips: list[Recording], material: Material, options: argparse.Namespace) -> str:
    number, hours = len(material.taped.clips.windows), sum(stream.hours for stream in material.taped.counted)
    sources = ", ".join(dict.fromkeys(clip.source for clip in clips))
    others = ", ".join(Path(path).name for path in options.negatives)
    if options.protocol == "picovoice":
        return f"Picovoice's protocol: {number} clips ({sources}) in {hours:.2f} h, between them speech of {others}."
    about = f"{number} clips ({sources}); {hours:.2f} h of speech without the phrase ({others})."
    return f"{about} {CONDITION_NOTES}" if options.conditions else about


def estimate(name: str, row: Row, key: str) -> Row:
    if key not in row:
        return {name: "not reached"}
    return {name: row[key], f"{name} low": row[f"{key}, low"], f"{name} high": row[f"{key}, high"]}


def write(outcomes: Sequence[Outcome], about: str, left_out: Sequence[str], stem: Path) -> str:
    """stem.csv, stem.md and a picture for each condition -> the page."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    shown = [o for o in outcomes if o.entry.model is not None]
    names = [{"engine": o.entry.name} for o in shown]
    rows = [name | {"failure": o.failure} | o.misses | o.own | o.facts for name, o in zip(names, shown)]
    measure.write_csv(stem.with_suffix(".csv"), rows)
    parts = [about, NOTES, measure.markdown([name | measure.with_intervals(o.misses) for name, o in zip(names, shown)])]
    parts.append(f"At the engine's own threshold; the delay is that at {DELAY_AT:g}/h, after the end of the phrase:")
    parts.append(measure.markdown([name | measure.with_intervals(o.own) | brief(o) for name, o in zip(names, shown)]))
    parts.append("".join(map(settings, outcomes)))
    parts += [f"Left out: {line}" for line in left_out]
    parts += [f"![misses against false alarms]({path.name})" for path in drawn(shown, stem)]
    page = "\n\n".join(part.rstrip("\n") for part in parts) + "\n"
    stem.with_suffix(".md").write_text(page, encoding="utf-8")
    return page


def brief(o: Outcome) -> Row:
    facts = {key: value for key, value in o.facts.items() if key != "versions"}
    return facts | ({"failure": o.failure} if o.failure else {})


def settings(o: Outcome) -> str:
    if o.entry.model is None:
        return f"- {o.entry.name}: has no model of this phrase\n"
    return f"- {o.entry.name}: {ENGINES[o.entry.engine].settings}. {o.facts.get('versions', '')}\n"


def drawn(outcomes: Sequence[Outcome], stem: Path) -> list[Path]:
    """A DET plot for each condition; none where there is no matplotlib."""
    reports = {o.entry.name: o.report for o in outcomes if o.report}
    paths = []
    for condition in next(iter(reports.values())).conditions if reports else ():
        paths.append(stem.with_name(f"{stem.name}-{slug(condition)}.png"))
        curves = {
            name: [(r["per hour"], r["miss %"]) for r in report.curve if r["condition"] == condition]
            for name, report in reports.items()
        }
        marks = [point for report in reports.values() for point in own_points(report, condition)]
        try:
            det(curves, {AS_SET: marks}, paths[-1], f"{stem.name}, {condition}")
        except PlotError:
            return []
    return paths


def own_points(report: Report, condition: str) -> list[tuple[float, float]]:
    """(false alarms an hour, misses in %) at the engine's own threshold."""
    rates = [r["per hour"] for r in report.alarms if r["set"] == AS_SET and r["negatives"] == COUNTED]
    misses = [r["miss %"] for r in report.misses if r["set"] == AS_SET and r["condition"] == condition]
    return list(zip(rates, misses))


if __name__ == "__main__":
    sys.exit(main())
