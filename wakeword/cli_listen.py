"""The commands that listen: `wakeword detect` in files, `wakeword listen` and `wakeword record` at the microphone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from asr import audio
from asr.commands.terminal import add_expectations, recognizer_options, say
from asr.commands.terminal import add_model as add_recogniser
from asr.errors import UsageError
from wakeword.detector import AFTERWARDS, Detection, WakeWordDetector, load
from wakeword.listen import Alarms, Heard, Program, beep
from wakeword.listen import listen as hear
from wakeword.several import Several

if TYPE_CHECKING:
    from asr.live import Listener
    from asr.model.interface import AcousticModel

NOTHING = 'give a detector (a name or a file), or --phrase and any words, for example --phrase "hey you"'
PATIENCE = 5.0  # s without a word after which `--then transcribe` listens for the phrase again
VERIFY = "ask the speech recogniser, too, whether it was the phrase"


def add_model(p: argparse.ArgumentParser, *name: str, nargs: str | None = None, rates: bool = True) -> None:
    """name: how the detector is given, as "--model" or as an argument without dashes.

    rates: False where the figures are of all rates anyway.
    """
    p.add_argument(*name, nargs=nargs, metavar="NAME_OR_FILE", help="packaged detector or a file")
    p.add_argument(
        "--phrase", metavar="WORDS", help="instead of a detector: any words, by the speech recogniser, without training"
    )
    add_choice(p, rates)


def add_models(p: argparse.ArgumentParser, what: str) -> None:
    """Any number of detectors at a time."""
    p.add_argument("--model", dest="models", action="append", default=[], metavar="NAME_OR_FILE", help=what)
    p.add_argument("--phrase", dest="phrases", action="append", default=[], metavar="WORDS",
                   help="any words, by the speech recogniser, without training; repeat for more")  # fmt: skip
    add_choice(p)


def add_choice(p: argparse.ArgumentParser, rates: bool = True) -> None:
    add_recogniser(p, "--recogniser", "for --phrase, --verify and --then: ")
    at = p.add_mutually_exclusive_group()
    at.add_argument("--threshold", type=float, metavar="P", help="0..1, instead of the detector's own")
    if rates:
        at.add_argument(
            "--rate", type=float, metavar="N", help="the threshold for N false alarms an hour: 0.1, 0.5, 1 or 3"
        )
    p.set_defaults(rate=None)


def opened(options: argparse.Namespace) -> WakeWordDetector:
    """The detector that the options ask for. Raises ValueError."""
    if options.model and options.phrase:
        raise UsageError(f"give either the detector {options.model} or --phrase, not both: they are two ways to listen")
    if options.model:
        return load(options.model, options.threshold, options.rate)
    if not options.phrase:
        raise UsageError(NOTHING)
    return of_phrase(options.phrase, options)


def of_phrase(phrase: str, options: argparse.Namespace) -> WakeWordDetector:
    """That of --phrase. Raises ValueError."""
    from wakeword.spotter import spotter

    return spotter(acoustic_model(options.recogniser)[0], phrase, options.threshold, options.rate)


def all_opened(options: argparse.Namespace) -> Several:
    """All detectors that are given, by name or file, and those of --phrase by their words. Raises ValueError."""
    if not (options.models or options.phrases):
        raise UsageError(NOTHING)
    found = {name: load(name, options.threshold, options.rate) for name in options.models}
    said = {f"{p} (phrase)" if p in found else p: of_phrase(p, options) for p in options.phrases}
    return Several(found | said)


def confirmation(detectors: Mapping[str, WakeWordDetector], options: argparse.Namespace) -> Callable[[Heard], bool]:
    """What has the last word on a detection: the CTC model with --verify, else nobody."""
    if not options.verify:
        return lambda heard: True
    from wakeword.spotter import Verifier

    model = acoustic_model(options.recogniser)[0]
    verifiers = {name: Verifier(model, detector.phrase) for name, detector in detectors.items()}
    return lambda heard: verifiers[heard.detection.name](heard.samples)


@cache
def acoustic_model(name: str) -> tuple[AcousticModel, dict]:
    """The recogniser's acoustic model and its card, loaded once for --phrase, --verify and --then."""
    from asr.model.onnx import load_model

    return load_model(name)


def add_detect(p: argparse.ArgumentParser) -> None:
    p.description = "Find a phrase in audio files; folders are searched, - is standard input."
    p.add_argument("files", nargs="+", metavar="FILE")
    p.add_argument("--format", choices=["txt", "json"], default="txt", help="json: one object a line")
    add_models(p, "packaged detector or a file; repeat for more")
    p.add_argument("--verify", action="store_true", help=VERIFY)
    p.set_defaults(command=detect)


def detect(options: argparse.Namespace) -> int:
    detector, failed = all_opened(options), False
    confirmed = confirmation(detector.detectors, options)
    for source in audio.find(options.files):
        try:
            if isinstance(source, audio.AudioError):
                raise source
            for heard in filter(confirmed, hear(detector, chain(audio.blocks(source), [AFTERWARDS]))):
                print(line(source, options, heard.detection), flush=True)
        except audio.AudioError as error:
            say(f"error: {error}")
            failed = True
    return 1 if failed else 0


def line(source: str, options: argparse.Namespace, detection: Detection, text: str | None = None) -> str:
    """One result: a JSON object, or columns with tabs between; ``text`` is that of the command after the word.

    The detector's name has a column of its own where there are several.
    """
    time, score = round(detection.time, 2), round(detection.score, 4)
    if options.format == "json":
        found = {"file": source, "model": detection.name, "time": time, "score": score}
        return json.dumps(found if text is None else found | {"text": text})
    several = len({*options.models, *options.phrases}) > 1
    columns = [source, f"{time:.2f}", f"{score:.4f}", *([detection.name] if several else [])]
    return "\t".join(columns if text is None else [*columns, text])


def add_listen(p: argparse.ArgumentParser) -> None:
    p.description = "Wait for a phrase at the microphone; prints a line for each time it is heard. Ctrl-C ends it."
    p.add_argument(
        "--run", metavar="CMD", help="start a program each time; {score}, {time}, {name}, {text} are filled in"
    )
    p.add_argument("--then", choices=["transcribe"], help="after the word, write the command that follows it")
    add_expectations(p)
    p.add_argument("--tone", action="store_true", help="play a short tone when the word is heard")
    p.add_argument(
        "--save-alarms", type=Path, metavar="DIR", help="keep the audio around each detection, to train with"
    )
    p.add_argument("--format", choices=["txt", "json"], default="txt", help="json: one object a line")
    add_device(p)
    p.add_argument("--list-devices", action="store_true", help="show the microphones and stop")
    p.add_argument("detector", nargs="?", metavar="NAME_OR_FILE", help="packaged detector or a file")
    add_models(p, "another detector; repeat for more")
    p.add_argument("--verify", action="store_true", help=VERIFY)
    p.set_defaults(command=listen)


def add_device(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--device", metavar="NAME", help="microphone: a part of its name, or its number (default: the system's)"
    )


def listen(options: argparse.Namespace) -> int:
    from asr.audio.microphone import Microphone, MicrophoneOptions, devices

    if options.list_devices:
        print(*devices(), sep="\n")
        return 0
    if not options.then and (options.hotwords or options.commands or options.lexicon or options.rejection is not None):
        raise UsageError("--hotwords, --commands and --rejection are for what follows the word: add --then transcribe")
    if options.run is not None and "{text}" in options.run and not options.then:
        raise UsageError("{text} of --run is what is said after the word: add --then transcribe")
    options.models = [options.detector, *options.models] if options.detector else options.models
    command = Program(options.run) if options.run is not None else None
    detector = all_opened(options)
    confirmed = confirmation(detector.detectors, options)
    alarms = Alarms(options.save_alarms) if options.save_alarms else None
    listener = then_listener(options) if options.then else None  # before there is sound that would have to wait for it

    def on_word(heard: Heard) -> None:
        if options.tone:
            beep(say)
        if listener:
            say(f"heard {detector.detectors[heard.detection.name].phrase!r}, go on")
        if alarms:
            say(f"saved {alarms.save(heard)}")

    with Microphone(MicrophoneOptions(options.device), say) as microphone:
        say(f"listening for {detector.phrase!r} on {microphone.device.name}; Ctrl-C ends")
        if listener:
            from wakeword.listen import commands

            for found in commands(detector, listener, microphone, on_word, confirmed, say):
                print(line("microphone", options, found.detection, found.text), flush=True)
                if command and found.text:
                    command(found.detection, found.text)
        else:
            for heard in filter(confirmed, hear(detector, microphone)):
                print(line("microphone", options, heard.detection), flush=True)
                on_word(heard)
                if command:
                    command(heard.detection)
    return 0


def then_listener(options: argparse.Namespace) -> Listener:
    """Gives up waiting for a command after PATIENCE."""
    from asr.live import Listener, ListenerOptions
    from asr.live.utterance import EndpointOptions
    from asr.recognizer import Recognizer

    recognizer = Recognizer.of(*acoustic_model(options.recogniser), recognizer_options(options, written=None))
    return Listener(recognizer, ListenerOptions(endpoints=EndpointOptions(nothing=PATIENCE)))


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
    from asr.audio.microphone import Microphone, MicrophoneOptions
    from wakeword.listen import Recorder, utterances

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
