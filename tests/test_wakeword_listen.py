"""The live listener: detections from any source of blocks, saved alarms, commands that are run."""

import sys
import time

import numpy as np
import pytest
import soundfile
from loud import loud_detector, stream

from wakeword.detector import Detection
from wakeword.listen import Alarms, Heard, Program, listen


@pytest.mark.parametrize("size", [160, 1280, 5000, 96_000])
def test_two_loud_places_are_two_detections(size):
    x, detector = stream(), loud_detector()
    heard = list(listen(detector, (x[i : i + size] for i in range(0, len(x), size))))
    assert [d.detection.time for d in heard] == [d.time for d in detector.detect(x)]
    assert [round(d.detection.time) for d in heard] == [2, 4]


def test_the_audio_around_a_detection_is_kept():
    x = stream()
    first, _ = listen(loud_detector(), (x[i : i + 800] for i in range(0, len(x), 800)), keep=1.0)
    end = round(first.detection.time * 16_000)
    assert np.array_equal(first.samples, x[end - 16_000 : end])


def test_alarms_are_wav_files(tmp_path):
    alarms = Alarms(tmp_path / "new" / "folder")
    heard = Heard(Detection(1.0, 0.9, "models/word.safetensors"), np.full(800, 0.5, np.float32))
    paths = {alarms.save(heard) for _ in range(3)}
    assert len(paths) == 3 and all(p.parent == tmp_path / "new" / "folder" for p in paths)
    assert all(p.name.startswith("word-") for p in paths)
    samples, rate = soundfile.read(paths.pop())
    assert rate == 16_000 and np.allclose(samples, 0.5, atol=1e-4)


def test_a_command_is_started_and_not_waited_for(tmp_path):
    out, program, began = tmp_path / "out", tmp_path / "program.py", time.monotonic()
    program.write_text(
        "import sys, time, pathlib\npathlib.Path(sys.argv[1]).write_text(' '.join(sys.argv[2:]))\ntime.sleep(3)"
    )
    Program(f"{sys.executable} {program} {out} {{time}} {{score}} {{text}}")(Detection(1.5, 0.25), "say {{score}}")
    assert time.monotonic() - began < 1.5
    for _ in range(100):
        if out.exists() and out.read_text():
            break
        time.sleep(0.05)
    assert out.read_text() == "1.50 0.250 say {{score}}"


def test_commands_that_cannot_run():
    with pytest.raises(ValueError, match="--run needs a command"):
        Program("  ")
    with pytest.raises(ValueError, match="--run .*quotation"):
        Program("echo 'no end")
    with pytest.raises(ValueError, match="--run no-such-program: there is no such program"):
        Program("no-such-program {score}")
    with pytest.raises(ValueError, match="--run /no/such/program 0.00: No such file"):
        Program("'/no/such/program {time}'")(Detection(0, 0))


def test_what_was_said_is_one_argument_and_never_a_command(tmp_path):
    out, program, text = tmp_path / "out", tmp_path / "program.py", "; touch {score} $(id) `id` 'x \"y | -rf"
    program.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text(repr(sys.argv[2:]))")
    Program(f"{sys.executable} {program} {out} {{text}} 'say {{text}}'")(Detection(1.5, 0.25), text)
    for _ in range(100):
        if out.exists() and out.read_text():
            break
        time.sleep(0.05)
    assert out.read_text() == repr([text, f"say {text}"])
