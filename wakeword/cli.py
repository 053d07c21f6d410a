"""The command `wakeword`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr import __version__, audio
from wakeword.detector import Detection, Detector, load
from wakeword.listen import Alarms, Heard, Program, beep
from wakeword.listen import listen as hear

if TYPE_CHECKING:
    from asr.microphone import Microphone


PATIENCE = 5.0  # s without a word after which `--then transcribe` listens for the phrase again


class UsageError(ValueError):
    """One sentence: what is wrong with the command line."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all well, 1 some input failed, 2 nothing could start, 130 stopped by the user."""
    options = parser().parse_args(arguments)
    try:
        return options.command(options)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, audio.AudioError) as error:  # each holds one sentence for the user
        say(f"error: {error}")
        return 2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="wakeword", description="Wake words of your own, without a cloud.")
    top.add_argument("--version", action="version", version=f"wakeword {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_train(commands.add_parser("train", help="turn a phrase into a detector"))
    add_listen(commands.add_parser("listen", help="wait for a phrase at the microphone"))
    add_detect(commands.add_parser("detect", help="find a phrase in audio files"))
    add_evaluate(commands.add_parser("evaluate", help="misses against false alarms an hour"))
    add_record(commands.add_parser("record", help="collect recordings of a phrase at the microphone"))
    add_voices(commands.add_parser("voices", help="which synthesisers are installed, and how to get more"))
    return top


def add_model(p: argparse.ArgumentParser) -> None:
    """What all commands that use a detector share."""
    at = p.add_mutually_exclusive_group()
    at.add_argument("--threshold", type=float, metavar="P", help="0..1, instead of the detector's own")
    at.add_argument(
        "--rate", type=float, metavar="N", help="the threshold for N false alarms an hour: 0.1, 0.5, 1 or 3"
    )


def add_verify(p: argparse.ArgumentParser) -> None:
    p.add_argument("--verify", action="store_true", help="ask the speech recogniser, too, whether it was the phrase")


def opened(options: argparse.Namespace) -> Detector:
    return load(options.model, options.threshold, options.rate)


def confirmation(detector: Detector, options: argparse.Namespace) -> Callable[[Heard], bool]:
    """What has the last word on a detection: the CTC model with --verify, else nobody."""
    if not options.verify:
        return lambda heard: True
    import asr
    from wakeword.verify import Verifier

    verifier = Verifier(asr.load(), detector.phrase)
    return lambda heard: verifier(heard.samples)


# --- train ---------------------------------------------------------------------------------------


def add_train(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Turn a phrase into a detector: synthesisers speak it, a small network learns it, held-out voices choose the "
        "threshold. Stopped at any moment, the same command goes on. Needs no recording and no network."
    )
    p.add_argument("phrase", help='for example "hey computer"')
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
    p.add_argument("--voices", metavar="A,B", help="synthesisers to use (default: all that are installed)")
    p.add_argument("--rate", type=float, default=0.5, metavar="N", help="false alarms an hour to aim at (default: 0.5)")
    p.add_argument("--clips", type=int, metavar="N", help="times that the phrase is spoken")
    p.add_argument("--updates", type=int, metavar="N", help="of the network's weights")
    p.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="default: all cores")
    p.add_argument("--seed", type=int, default=1)
    p.set_defaults(command=train)


def train(options: argparse.Namespace) -> int:
    from wakeword.build import BuildOptions, build, slug
    from wakeword.holdout import RATES

    if options.rate not in RATES:
        raise UsageError(f"--rate must be one of {', '.join(f'{r:g}' for r in RATES)}, not {options.rate:g}")
    for name in ("clips", "updates", "processes"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise UsageError(f"--{name} must be at least 1")
    wanted = BuildOptions(
        voices=tuple(options.voices.split(",")) if options.voices else (),
        positives=tuple(options.positives),
        negatives=tuple(options.negatives),
    )
    changed = {"rate": options.rate, "processes": options.processes, "seed": options.seed}
    if options.updates:
        changed["updates"] = options.updates
    wanted = replace(wanted, train=replace(wanted.train, **changed))
    if options.clips:
        fewer = {"near_misses": max(1, options.clips // 2), "sentences": max(1, options.clips * 5 // 8)}
        wanted = replace(wanted, clips=options.clips, **fewer)
    output = options.output or Path(f"{slug(options.phrase)}.safetensors")
    measured = build(options.phrase, output, wanted, say)
    say(f"{output}: on held-out voices {summary(measured.missed)}")
    return 0


def summary(missed: dict[float, float]) -> str:
    return ", ".join(f"{100 * share:.1f} % missed at {rate:g} false alarms an hour" for rate, share in missed.items())


# --- detect --------------------------------------------------------------------------------------


def add_detect(p: argparse.ArgumentParser) -> None:
    p.description = "Find a phrase in audio files; folders are searched, - is standard input."
    p.add_argument("files", nargs="+", metavar="FILE")
    p.add_argument("--model", required=True, metavar="NAME_OR_FILE", help="packaged detector or a file")
    p.add_argument("--format", choices=["txt", "json"], default="txt", help="json: one object a line")
    add_model(p)
    add_verify(p)
    p.set_defaults(command=detect)


def detect(options: argparse.Namespace) -> int:
    detector, failed = opened(options), False
    confirmed = confirmation(detector, options)
    for source in audio.find(options.files):
        try:
            if isinstance(source, audio.AudioError):
                raise source
            for heard in filter(confirmed, hear(detector, audio.blocks(source))):
                print(line(source, options, heard.detection), flush=True)
        except audio.AudioError as error:
            say(f"error: {error}")
            failed = True
    return 1 if failed else 0


def line(source: str, options: argparse.Namespace, detection: Detection, text: str | None = None) -> str:
    """One result: a JSON object, or columns with tabs between; ``text`` is that of the command after the word."""
    time, score = round(detection.time, 2), round(detection.score, 4)
    if options.format == "json":
        found = {"file": source, "model": str(options.model), "time": time, "score": score}
        return json.dumps(found if text is None else found | {"text": text})
    return f"{source}\t{time:.2f}\t{score:.4f}" + ("" if text is None else f"\t{text}")


# --- the microphone ------------------------------------------------------------------------------


def add_listen(p: argparse.ArgumentParser) -> None:
    p.description = "Wait for a phrase at the microphone; prints a line for each time it is heard. Ctrl-C ends it."
    p.add_argument("model", metavar="NAME_OR_FILE", help="packaged detector or a file")
    p.add_argument("--run", metavar="CMD", help="start a program each time; {score}, {time}, {text} are filled in")
    p.add_argument("--then", choices=["transcribe"], help="after the word, write the command that follows it")
    p.add_argument("--tone", action="store_true", help="play a short tone when the word is heard")
    p.add_argument(
        "--save-alarms", type=Path, metavar="DIR", help="keep the audio around each detection, to train with"
    )
    p.add_argument("--format", choices=["txt", "json"], default="txt", help="json: one object a line")
    add_device(p)
    add_model(p)
    add_verify(p)
    p.set_defaults(command=listen)


def add_device(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--device", metavar="NAME", help="microphone: a part of its name, or its number (default: the system's)"
    )


def listen(options: argparse.Namespace) -> int:
    from asr.microphone import Microphone, MicrophoneOptions

    detector = opened(options)
    confirmed = confirmation(detector, options)
    command = Program(options.run) if options.run is not None else None
    alarms = Alarms(options.save_alarms, Path(options.model).stem) if options.save_alarms else None
    with Microphone(MicrophoneOptions(options.device), say) as microphone:
        if options.then:
            return then_transcribe(detector, microphone, command, options)
        say(f"listening for {detector.phrase!r} on {microphone.device.name}; Ctrl-C ends")
        for heard in filter(confirmed, hear(detector, microphone)):
            print(line("microphone", options, heard.detection), flush=True)
            if options.tone:
                beep(say)
            if command:
                command(heard.detection)
            if alarms:
                say(f"saved {alarms.save(heard)}")
    return 0


def then_transcribe(
    detector: Detector, microphone: Microphone, run: Program | None, options: argparse.Namespace
) -> int:
    """Word, tone, the command's text, and from the start."""
    import asr
    from asr.endpoint import EndpointOptions
    from asr.listener import Listener, ListenerOptions
    from wakeword.commands import commands

    listener = Listener(asr.load(), ListenerOptions(endpoints=EndpointOptions(nothing=PATIENCE)))
    say(f"listening for {detector.phrase!r} on {microphone.device.name}; Ctrl-C ends")

    def on_word(detection: Detection) -> None:
        if options.tone:
            beep(say)
        say(f"heard {detector.phrase!r}, go on")

    for said in commands(detector, listener, microphone, on_word):
        print(line("microphone", options, said.detection, said.text), flush=True)
        if run and said.text:
            run(said.detection, said.text)
    return 0


def add_record(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Collect recordings at the microphone: each time something is said, a wav file. Give the folder to "
        "`wakeword train --positives`."
    )
    p.add_argument("folder", type=Path, metavar="DIR", help="for the wav files")
    p.add_argument("--count", type=int, default=20, metavar="N", help="recordings to make (default: 20)")
    add_device(p)
    p.set_defaults(command=record)


def record(options: argparse.Namespace) -> int:
    from asr.microphone import Microphone, MicrophoneOptions
    from wakeword.record import Recorder, utterances

    if options.count < 1:
        raise UsageError("--count must be at least 1")
    recorder = Recorder(options.folder)
    with Microphone(MicrophoneOptions(options.device), say) as microphone:
        say(f"say the phrase {options.count} times, with a pause after each; Ctrl-C ends")
        for number, samples in enumerate(utterances(microphone), start=1):
            say(f"{number} of {options.count}: {recorder.save(samples)} ({len(samples) / audio.SAMPLE_RATE:.1f} s)")
            if number == options.count:
                break
    return 0


# --- evaluate, voices ----------------------------------------------------------------------------


def add_evaluate(p: argparse.ArgumentParser) -> None:
    p.description = "Misses against false alarms an hour: a table, a DET plot, the delay after the word."
    p.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="recordings of the phrase: files, folders, manifests"
    )
    p.add_argument("--model", required=True, metavar="NAME_OR_FILE", help="packaged detector or a file")
    p.add_argument("--negatives", type=Path, action="append", required=True, metavar="PATH", help="without the phrase")
    p.add_argument("--noise", type=Path, action="append", default=[], metavar="PATH", help="laid under the phrase")
    p.add_argument("--output", type=Path, metavar="DIR", help="for the table and the plot")
    add_model(p)
    p.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    from wakeword.evaluation import evaluate, write

    report = evaluate(opened(options), options.files, options.negatives, options.noise)
    print(report.markdown)
    if options.output:
        write(report, options.output)
    return 0


def add_voices(p: argparse.ArgumentParser) -> None:
    p.description = "The synthesisers that `wakeword train` can use."
    p.set_defaults(command=voices)


def voices(options: argparse.Namespace) -> int:
    from wakeword.voices import listing

    print(listing())
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
