"""`wakeword record`: one file for each utterance."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import audio
from wakeword.listen import Recorder, utterances

CLIPS = [audio.load(str(Path(__file__).parent / "data" / name)) for name in ("independence.opus", "names.opus")]
PAUSE = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 1e-4


@pytest.mark.parametrize("size", [1280, 7001])
def test_two_utterances_come_out_one_by_one(size):
    stream = np.concatenate([PAUSE, CLIPS[0][:48_000], PAUSE, CLIPS[1][:48_000], PAUSE])
    found = list(utterances(stream[i : i + size] for i in range(0, len(stream), size)))
    assert len(found) == 2
    assert all(16_000 < len(samples) < 64_000 for samples in found)
    energy = sum((f**2).sum() for f in found)
    assert energy > 0.98 * (stream**2).sum()


def test_nothing_said_gives_nothing():
    assert list(utterances([PAUSE, PAUSE])) == []


def test_files_are_numbered_on(tmp_path):
    recorder = Recorder(tmp_path / "new")
    (tmp_path / "new" / "007.wav").write_bytes(b"")
    (tmp_path / "new" / "other.wav").write_bytes(b"")
    path = recorder.save(np.full(1600, 0.25, np.float32))
    assert path.name == "008.wav"
    assert soundfile.info(path).frames == 1600
