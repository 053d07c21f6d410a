"""The commands that make and judge detectors: `wakeword train`, `wakeword evaluate`, `wakeword voices`."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path

from asr.commands.terminal import say
from asr.errors import UsageError
from wakeword.cli_listen import add_device, add_model, opened
from wakeword.phrase import check, slug
from wakeword.scoring import RATES


def add_train(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Turn a phrase into a detector: synthesisers speak it, a small network learns it, held-out voices choose the "
        "threshold. Stopped at any moment, the same command goes on. Needs no recording and no network."
    )
    p.add_argument("phrase", nargs="+", metavar="PHRASE", help='in quotes, for example "hey computer"')
    p.add_argument("--output", type=Path, metavar="FILE", help="of the detector (default: hey-computer.safetensors)")
    p.add_argument("--positives", type=Path, action="append", default=[], metavar="DIR", help="your recordings of it")
    p.add_argument(
        "--negatives",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="recordings without it, false alarms too",
    )
    p.add_argument(
        "--pronounce",
        action="append",
        default=[],
        metavar="WORD=SPELLING",
        help="a word that is said wrongly, spelt by its sound: nguyen=win",
    )
    p.add_argument("--voices", metavar="A,B", help="synthesisers to use (default: all that are installed)")
    p.add_argument("--rate", type=float, default=0.5, metavar="N", help="false alarms an hour to aim at (default: 0.5)")
    p.add_argument("--clips", type=int, metavar="N", help="times that the phrase is spoken (default: 1500)")
    p.add_argument("--updates", type=int, metavar="N", help="of the network's weights (default: 1000)")
    p.add_argument("--processes", type=int, default=_cores(), metavar="N", help="default: all cores")
    p.add_argument("--seed", type=int, default=1)
    p.set_defaults(command=train)


def train(options: argparse.Namespace) -> int:
    _check_train(options)
    [phrase] = options.phrase
    output = options.output or Path(f"{slug(phrase)}.safetensors")
    _check_output(output)
    say(f"{output}: to be trained; first the program is loaded")
    from wakeword.train.build import BuildOptions, build, summary

    wanted = BuildOptions(
        voices=tuple(options.voices.split(",")) if options.voices else (),
        positives=tuple(options.positives),
        negatives=tuple(options.negatives),
        pronounce=dict(pair.split("=") for pair in options.pronounce),
    )
    changed = {"rate": options.rate, "processes": options.processes, "seed": options.seed}
    if options.updates:
        changed["updates"] = options.updates
    wanted = replace(wanted, train=replace(wanted.train, **changed))
    if options.clips:
        share = options.clips / wanted.clips
        near_misses, sentences = (max(1, round(share * n)) for n in (wanted.near_misses, wanted.sentences))
        wanted = replace(wanted, clips=options.clips, near_misses=near_misses, sentences=sentences)
    measured = build(phrase, output, wanted, say)
    say(f"{output}: {summary(measured, options.rate)}")
    return 0


def _cores() -> int:
    """Those that this process may use: a container, or taskset, can leave it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_train(options: argparse.Namespace) -> None:
    """Raise UsageError or phrases.PhraseError for what can be refused before anything is loaded."""
    if len(options.phrase) > 1:
        raise UsageError(f'put the phrase into quotes: wakeword train "{" ".join(options.phrase)}"')
    words = check(options.phrase[0]).split()
    for pair in options.pronounce:
        word, _, spelling = pair.partition("=")
        if word not in words or not re.fullmatch("[a-z']+", spelling):
            raise UsageError(f"--pronounce {pair}: give a word of the phrase and its spelling, such as {words[0]}=foo")
    if options.rate not in RATES:
        raise UsageError(f"--rate must be one of {', '.join(f'{r:g}' for r in RATES)}, not {options.rate:g}")
    for name, least in {"clips": 1, "updates": 1, "processes": 1, "seed": 0}.items():
        if getattr(options, name) is not None and getattr(options, name) < least:
            raise UsageError(f"--{name} must be at least {least}")
    for path in [*options.positives, *options.negatives]:
        if not path.exists():
            raise UsageError(f"{path} does not exist: give a folder of recordings, a recording or a manifest")


def _check_output(output: Path) -> None:
    if output.suffix != ".safetensors" or output.is_dir():
        raise UsageError(f"{output} is no name for a detector: let it end in .safetensors")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}: make it first, or name another file")


def add_evaluate(p: argparse.ArgumentParser) -> None:
    p.description = "Misses against false alarms an hour: a table, a DET plot, the delay after the word."
    p.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="recordings of the phrase: files, folders, manifests"
    )
    p.add_argument("--negatives", type=Path, action="append", required=True, metavar="PATH", help="without the phrase")
    p.add_argument("--noise", type=Path, action="append", default=[], metavar="PATH", help="laid under the phrase")
    p.add_argument(
        "--conditions",
        action="store_true",
        help="also across a room, by telephone, at -60 dB of full scale, beside talkers of the negatives",
    )
    p.add_argument("--output", type=Path, metavar="DIR", help="for the table and the plot")
    add_model(p, "--model", rates=False)
    p.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    from wakeword.evaluate import EvaluationOptions, evaluate, write
    from wakeword.evaluate.clips import ClipOptions

    how = EvaluationOptions(clips=ClipOptions(conditions=options.conditions))
    report = evaluate(opened(options), options.files, options.negatives, options.noise, how)
    print(report.markdown)
    if options.output:
        write(report, options.output)
    return 0


def add_check(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Does it hear you? Say the phrase ten times, then talk for a minute: the score of each saying, misses, false "
        "alarms, and the command that trains on with these recordings."
    )
    add_model(p, "model", nargs="?")
    p.add_argument("--folder", type=Path, metavar="DIR", help="for the recordings (default: check-NAME)")
    p.add_argument("--positives", type=Path, metavar="PATH", help="instead of the microphone: recordings of the phrase")
    p.add_argument("--negatives", type=Path, metavar="PATH", help="... and of talk without it")
    add_device(p)
    p.set_defaults(command=check_voice)


def check_voice(options: argparse.Namespace) -> int:
    from wakeword.evaluate import check as checking
    from wakeword.evaluate.clips import recordings

    if bool(options.positives) != bool(options.negatives):
        raise UsageError("give both --positives and --negatives, or neither: then the microphone is listened to")
    detector = opened(options)
    said, talk = options.positives, options.negatives
    if not said:
        from asr.audio.microphone import Microphone, MicrophoneOptions

        folder = options.folder or Path(f"check-{slug(detector.phrase)}")
        said, talk = folder / checking.SAID, folder / checking.TALK
        with Microphone(MicrophoneOptions(options.device), say) as microphone:
            checking.record(folder, detector.phrase, microphone, say)
    print(*checking.check(detector, recordings([said]), recordings([talk])).lines(), sep="\n")
    if options.model:
        say(f'to train on with them: wakeword train "{detector.phrase}" --positives {said} --negatives {talk}')
    return 0


def add_voices(p: argparse.ArgumentParser) -> None:
    p.description = "The synthesisers that `wakeword train` can use."
    p.set_defaults(command=voices)


def voices(options: argparse.Namespace) -> int:
    from wakeword.voices import listing

    print(listing())
    return 0
