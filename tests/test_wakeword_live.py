"""`wakeword listen` and `wakeword record` at a real input: what they hear live is what they find in the file."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loud import loud_detector, save_loud, stream
from pulse import sound_server  # noqa: F401

from asr import audio


def start(pulse, *arguments) -> subprocess.Popen:
    """The command, once it says that it hears."""
    command = [sys.executable, "-m", "wakeword.cli", *map(str, arguments)]
    process = subprocess.Popen(command, env=pulse.environment(), stdout=-1, stderr=-1, text=True)
    for line in process.stderr:
        if "Ctrl-C ends" in line:
            return process
    raise AssertionError(f"{arguments} ended with {process.wait()}")


def stop(process: subprocess.Popen) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=20)


def test_live_detections_are_those_of_the_file(pulse, tmp_path):
    boom, mark = save_loud(tmp_path / "boom.safetensors"), tmp_path / "mark"
    command = f"{sys.executable} -c \"open(r'{mark}', 'a').write('x')\""
    options = ["--device", "pulse", "--format", "json", "--run", command, "--save-alarms", tmp_path / "alarms"]
    process = start(pulse, "listen", boom, *options)
    pulse.play(np.clip(stream(), -1, 1)).wait()
    time.sleep(1)
    out, err = stop(process)
    assert process.returncode == 130 and "stopped" in err
    times = [json.loads(line)["time"] for line in out.splitlines()]
    expected = [d.time for d in loud_detector().detect(stream())]
    assert len(times) == len(expected) == 2
    assert abs((times[1] - times[0]) - (expected[1] - expected[0])) < 0.09  # a step, and where the steps begin
    assert mark.read_text() == "xx"
    saved = sorted((tmp_path / "alarms").glob("*.wav"))
    assert len(saved) == 2 and all(0.5 < soundfile.info(p).duration <= 2.5 for p in saved)


def test_the_command_after_the_word(pulse, tmp_path):
    boom, text = save_loud(tmp_path / "boom.safetensors"), tmp_path / "text"
    program = f"{sys.executable} -c \"import sys; open(r'{text}', 'a').write(sys.argv[1])\" {{text}}"
    options = ["--device", "pulse", "--format", "json", "--then", "transcribe", "--tone", "--run", program]
    process = start(pulse, "listen", boom, *options)
    loud = np.random.default_rng(0).standard_normal(2_400).astype(np.float32) * 0.5
    clip = 0.3 * audio.load(str(Path(__file__).parent / "data" / "independence.opus"))
    pulse.play(np.concatenate([np.zeros(16_000), loud, clip, np.zeros(32_000)]).astype(np.float32)).wait()
    time.sleep(2)
    out, err = stop(process)
    assert process.returncode == 130 and err == "heard 'boom', go on\nstopped\n"
    (found,) = map(json.loads, out.splitlines())
    assert "american" in found["text"] and text.read_text() == found["text"]


@pytest.mark.parametrize("after", [0.1, 0.2, 0.35])
def test_it_ends_with_the_tone_in_the_air(pulse, tmp_path, after):
    process = start(pulse, "listen", save_loud(tmp_path / "boom.safetensors"), "--device", "pulse", "--tone")
    pulse.play(np.clip(stream()[:40_000], -1, 1))  # a loud place at 2 s
    assert process.stdout.readline().startswith("microphone\t")
    time.sleep(after)
    _, err = stop(process)
    assert process.returncode == 130 and err == "stopped\n"


def test_it_waits_for_a_device_that_has_gone(pulse, tmp_path):
    process = start(pulse, "listen", save_loud(tmp_path / "boom.safetensors"), "--device", "pulse")
    pulse.unplug()
    assert any("has disappeared: waiting for it" in line for line in process.stderr)  # PortAudio says more
    pulse.plug()
    assert any("going on with microphone 'pulse'" in line for line in process.stderr)
    pulse.play(np.clip(stream()[:40_000], -1, 1))
    assert process.stdout.readline().startswith("microphone\t")
    stop(process)


def test_the_microphones_are_listed(pulse):
    command = [sys.executable, "-m", "wakeword.cli", "listen", "--list-devices"]
    result = subprocess.run(command, env=pulse.environment(), capture_output=True, text=True)
    assert result.returncode == 0 and ": pulse (ALSA, " in result.stdout and ", default\n" in result.stdout


def test_recordings_are_made_one_for_each_utterance(pulse, tmp_path):
    clip = audio.load(str(Path(__file__).parent / "data" / "independence.opus"))[:40_000]
    process = start(pulse, "record", tmp_path / "mine", "--count", "2", "--device", "pulse")
    pause = np.zeros(24_000, np.float32)
    pulse.play(np.concatenate([pause, clip, pause, clip, pause])).wait()
    process.communicate(timeout=20)
    assert process.returncode == 0
    files = sorted((tmp_path / "mine").glob("*.wav"))
    assert [f.name for f in files] == ["001.wav", "002.wav"]
    assert all(1 < soundfile.info(f).duration < 5 for f in files)


def test_no_microphone(pulse, tmp_path):
    pulse.stop()
    command = [sys.executable, "-m", "wakeword.cli", "listen", str(save_loud(tmp_path / "boom.safetensors"))]
    result = subprocess.run(command, env=pulse.environment(), capture_output=True, text=True)
    assert result.returncode == 2 and "error: no microphone" in result.stderr
