"""The command `asr listen`: what it writes to a terminal and to a file, how it ends, and a real input."""

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pulse import sound_server  # noqa: F401

import asr
from asr import audio
from asr.audio.microphone import MicrophoneError
from asr.cli import main
from asr.commands import listen as command
from asr.commands.listen import ERASE, Display, live_line
from asr.commands.terminal import milliseconds
from asr.live import Listener
from asr.live.stream import Result
from asr.transcript import Word

CLIP = audio.load(str(Path(__file__).parent / "data" / "independence.opus"))
PAUSE = np.zeros(16_000, np.float32)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Source:
    """A microphone that hears the clip, with a pause of a second around it."""

    def __init__(self, options=None, say=print):
        self.device, self.stopped = SimpleNamespace(name="made-up"), False
        self._blocks = np.split(np.concatenate([PAUSE, CLIP, PAUSE]), range(1_280, 98_000, 1_280))

    def __iter__(self):
        for block in self._blocks:
            if self.stopped:
                return
            yield block

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def stop(self):
        self.stopped = True


@pytest.fixture
def microphone(monkeypatch):
    monkeypatch.setattr(command, "Microphone", Source)


def spoken() -> list[str]:
    """What a listener makes of it."""
    return [r.text for r in Listener(asr.load()).over(Source()) if r.kind == "final" and r.text]


def test_a_terminal_sees_the_sentence_grow_and_a_file_only_the_whole():
    out, live = io.StringIO(), Terminal()
    display = Display(out, live)
    for text, stable in (("the", ""), ("the end", "the")):
        display.result(Result("partial", 0, 1.0, text, stable))
    display.loudness(-30.0)
    display.result(Result("final", 0, 2.0, "the end", "the end"))
    display.close()
    frames = [re.sub(r"\x1b\[\d*[a-zA-Z]", "", frame).strip() for frame in live.getvalue().split(ERASE)]
    assert "[----------] the" in frames and "[#####-----] the end" in frames and frames[-1] == ""
    assert "[#####-----]" == frames[-2] and out.getvalue() == "the end\n"


def test_without_a_terminal_there_is_no_line_to_redraw():
    out, log = io.StringIO(), io.StringIO()
    display = Display(out, log)
    display.loudness(-20.0)
    display.result(Result("partial", 0, 1.0, "the"))
    display.say("a word to you")
    display.result(Result("final", 0, 1.0, endpoint="noise"))
    display.close()
    assert out.getvalue() == "" and log.getvalue() == "a word to you\n"


def test_json_has_partial_results_too():
    out = io.StringIO()
    display = Display(out, io.StringIO(), "json")
    display.result(Result("partial", 3, 1.25, "le caf\u00e9 no", "le", (Word("le", 0.51234, 1.0, 0.5),)))
    display.result(Result("nothing", 4, 9.0))
    partial, nothing = [json.loads(line) for line in out.getvalue().splitlines()]
    assert out.getvalue().isascii() and nothing["kind"] == "nothing"
    assert (partial["kind"], partial["segment"], partial["time"], partial["stable"]) == ("partial", 3, 1.25, "le")
    assert partial["words"] == [{"text": "le", "start": 0.512, "end": 1.0, "confidence": 0.5}]


@pytest.mark.parametrize("width", [5, 20, 40, 200])
def test_the_live_line_fits_the_terminal(width):
    text = " ".join(["word"] * 20) + " end"
    line = re.sub(r"\x1b\[\d*[a-zA-Z]", "", live_line(-10.0, text, text[:40], width))
    assert len(line) < max(width, 15) and (width < 20 or line.endswith("end"))


def test_a_machine_too_slow_is_told_once_in_a_while(monkeypatch):
    clock = iter(np.arange(1_000) * 1.0)
    monkeypatch.setattr("asr.live.stream.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    out, log = io.StringIO(), io.StringIO()
    recognizer = asr.load(options=asr.RecognizerOptions(asr.DecoderOptions(beam=1)))
    command.follow(Listener(recognizer), Source(), Display(out, log))
    assert log.getvalue().count("cannot keep up") == 1 and out.getvalue()


def test_a_machine_that_was_late_says_when_it_has_caught_up(monkeypatch):
    """Three blocks take a second each, all others no time: one line when it is late, one when it no longer is."""
    took = np.repeat([0.0, 1.0, 0.0], [20, 3, 1_000])  # s of work on each block
    clock = iter(np.stack([np.cumsum(took) - took, np.cumsum(took)], 1).ravel())  # before it and after it
    monkeypatch.setattr("asr.live.stream.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    out, log = io.StringIO(), io.StringIO()
    recognizer = asr.load(options=asr.RecognizerOptions(asr.DecoderOptions(beam=1)))
    command.follow(Listener(recognizer), Source(), Display(out, log))
    late, caught_up = log.getvalue().splitlines()
    assert "cannot keep up" in late and "is kept and follows" in late and caught_up == "this machine has caught up"
    assert out.getvalue().splitlines() == [
        r.text for r in Listener(recognizer).over(Source()) if r.kind == "final" and r.text
    ]


def test_sentences_go_to_standard_output(microphone, capsys):
    assert main(["listen"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == spoken() and "listening to made-up" in err


def test_it_stops_when_nothing_is_said(microphone, capsys):
    assert main(["listen", "--nothing", "0.5", "--format", "json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["time"]) for row in rows] == [("nothing", 0.52)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_settles_the_sentence(monkeypatch, capsys, number):
    class Interrupted(Source):
        def __iter__(self):
            for i, block in enumerate(super().__iter__()):
                if i == 40:  # in the middle of the sentence
                    os.kill(os.getpid(), number)
                yield block

    before = signal.getsignal(number)
    monkeypatch.setattr(command, "Microphone", Interrupted)
    assert main(["listen", "--format", "json"]) == 130
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    assert (last["kind"], last["endpoint"]) == ("final", "end") and "stopped" in err
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--latency", "20"], "80 to 2000"),
        (["--model", "klingon"], "klingon"),
        (["--too-long", "1"], "sentence may last"),
        (["--silence", "nan"], "silence"),
        (["--format", "srt"], "srt"),
    ],
)
def test_what_cannot_start_says_why(microphone, capsys, arguments, sentence):
    try:
        status = main(["listen", *arguments])
    except SystemExit as stopped:  # argparse
        status = stopped.code
    out, err = capsys.readouterr()
    assert status == 2 and sentence in err and not out and "Traceback" not in err


def test_devices(monkeypatch, capsys):
    monkeypatch.setattr("asr.audio.microphone.devices", lambda: ["0: one", "1: two"])
    assert main(["listen", "--list-devices"]) == 0 and capsys.readouterr().out == "0: one\n1: two\n"

    def none():
        raise MicrophoneError("no microphone found")

    monkeypatch.setattr("asr.audio.microphone.devices", none)
    assert main(["listen", "--list-devices"]) == 2 and "error: no microphone found" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, value", [("320ms", 320.0), ("80", 80.0), ("2000ms", 2000.0), ("5s", None), ("79", None)]
)
def test_latencies(text, value):
    if value is None:
        with pytest.raises(argparse.ArgumentTypeError):
            milliseconds(2_000)(text)
    else:
        assert milliseconds(2_000)(text) == value


def test_words_from_a_real_input_are_those_of_the_file(pulse):
    """The clip played into a sound server, heard by the command; sound cards shift it by parts of a step."""
    arguments = [sys.executable, "-m", "asr.cli", "listen", "--device", "pulse", "--format", "json"]
    arguments += ["--latency", "1280"]  # with less the words hang on where in the sound a step begins
    process = subprocess.Popen(arguments, env=pulse.environment(), stdout=-1, stderr=-1, text=True)
    assert any("Ctrl-C ends" in line for line in process.stderr)
    pulse.play(np.concatenate([PAUSE, CLIP, PAUSE])).wait()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    rows = [json.loads(line) for line in out.splitlines()]
    heard = " ".join(row["spoken"] for row in rows if row["kind"] == "final").split()
    wanted = "he took part in the american war of independence".split()
    assert process.returncode == 130 and any(row["kind"] == "partial" for row in rows)
    assert len(set(heard) & set(wanted)) >= 0.6 * len(set(wanted))
    words = [word for row in rows if row["kind"] == "final" for word in row["words"]]
    assert 2.0 < words[-1]["end"] - words[0]["start"] < len(CLIP) / 16_000 + 0.3
