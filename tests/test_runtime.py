"""Exported models: the same outputs as torch's for any cut of any streams, and no torch in sight."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.model.checkpoint import CheckpointError
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel
from asr.model.onnx import HEAD, LAYERS, load_exported
from asr.model.options import ModelOptions
from asr.model.streaming import Chunk, StreamingEncoder, encode

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CLIP = Path(__file__).parent / "data" / "independence.opus"
LATENCIES = [None, Latency(2, 6), Latency(3, 0), Latency(1, 5), Latency(64, 8)]


def make(phonemes: tuple[str, ...] = ("AA", "B")) -> CTCModel:
    torch.manual_seed(3)
    options = ModelOptions(phonemes=phonemes, layers=3, hidden=8, channels=3, deep_phonemes=True)
    model = CTCModel(options).eval()
    model.mean.uniform_(-1, 1)
    model.deviation.uniform_(0.5, 2)
    return model


MODEL = make()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    from asr.model.onnx_export import write

    folder = tmp_path_factory.mktemp("model")
    write(MODEL, {"name": "small"}, folder)
    return folder


@pytest.fixture(scope="module")
def exported(folder):
    return load_exported(folder, threads=1)[0]


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 80)).astype(np.float32)


def same(found, wanted) -> None:
    for a, b in zip(found, wanted):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("latency", LATENCIES)
def test_recordings_have_the_outputs_of_torch(exported, latency):
    recordings = [frames(n, seed=n) for n in (0, 1, 6, 7, 50, 133, 260)]
    for found, wanted in zip(encode(exported, recordings, latency), encode(MODEL, recordings, latency)):
        same(found, wanted)


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 150), max_size=5), other=st.integers(0, 150), latency=st.sampled_from(LATENCIES[1:])
)
def test_any_cut_beside_another_stream(exported, cuts, other, latency):
    encoder, x, y = StreamingEncoder(exported, latency), frames(150), frames(other, seed=1)
    state, beside, parts, others = encoder.start(), encoder.start(), [], []
    chunks = np.split(x, sorted(cuts))
    for i, part in enumerate(chunks):
        last = i == len(chunks) - 1
        (posteriors, state), (more, beside) = encoder.step(
            [Chunk(part, state, last), Chunk(y if last else y[:0], beside, last)]
        )
        parts.append(posteriors)
        others.append(more)
    for found, recording in ((parts, x), (others, y)):
        same([np.concatenate(part) for part in zip(*found)], encode(MODEL, [recording], latency)[0])


def test_a_model_without_phonemes(tmp_path):
    from asr.model.onnx_export import write

    model = make(phonemes=())
    write(model, {}, tmp_path)
    (found,) = encode(load_exported(tmp_path)[0], [frames(60)], None)
    assert found.phonemes is None
    same(found, encode(model, [frames(60)], None)[0])


def test_the_card_goes_along(folder):
    model, card = load_exported(folder)
    assert card == {"name": "small"} and model.options.symbols == MODEL.options.symbols


@pytest.mark.parametrize(
    "file, content, message",
    [
        (HEAD, None, "model.json is missing.*asr export"),
        (LAYERS, None, "layers.onnx is missing"),
        (HEAD, b"{", "damaged"),
        (HEAD, b"[]", "damaged"),
        (HEAD, json.dumps({"format": "else"}).encode(), "no exported model"),
        (HEAD, json.dumps({"format": "asr-onnx", "version": 99}).encode(), "version 99.*again"),
        (LAYERS, b"no graph", "layers.onnx is damaged.*again"),
    ],
)
def test_folders_that_cannot_be_used(folder, tmp_path, file, content, message):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / file).unlink()
    if content is not None:
        (broken / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_exported(broken)


def without_torch(code: str, *arguments: str | Path) -> str:
    code = "import sys; sys.modules['torch'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_files_and_streams_without_torch(folder):
    code = """
import asr
from asr import audio
options = asr.RecognizerOptions(asr.DecoderOptions(lexicon=False))
recognizer = asr.load(sys.argv[1], options, threads=1)
recognizer.transcribe(sys.argv[2])
results = list(asr.Listener(recognizer).over(audio.blocks(sys.argv[2])))
print("heard")
"""
    assert without_torch(code, folder, CLIP) == "heard"


def test_any_phrase_in_files_and_the_second_opinion_without_torch(tmp_path):
    from asr.model.checkpoint import load_model
    from asr.model.onnx_export import write

    write(make(load_model("english")[0].options.phonemes), {"name": "small"}, tmp_path)
    code = """
from wakeword.cli import main
which, clip = ["--recogniser", sys.argv[1]], sys.argv[2]
assert main(["detect", "--phrase", "independence", *which, clip]) == 0
assert main(["detect", "--model", "computer", "--threshold", "0.01", "--verify", *which, clip]) == 0
print("heard")
"""
    assert without_torch(code, tmp_path, CLIP).endswith("heard")


def test_what_to_do_when_torch_is_missing():
    code = """
import asr
from asr.model.checkpoint import CheckpointError
try:
    asr.load()
except CheckpointError as error:
    print(error)
"""
    said = without_torch(code)
    assert "needs torch" in said and "asr export" in said


def test_importing_is_quick():
    code = """
import time
began = time.process_time()
import asr
asr.load, asr.Listener
print(time.process_time() - began)
assert "onnxruntime" not in sys.modules
"""
    assert min(float(without_torch(code)) for _ in range(2)) < 0.4


def test_the_benchmark_tells_who_hears_something_else(capsys):
    from benchmarks.runtime import compared

    rows = compared(["a", "b"], [({"file": 2.0}, ["one", "two"]), ({"file": 1.0}, ["one", "too"])])
    assert [(row["model"], row["file"], row["the same"]) for row in rows] == [("a", 2.0, 2), ("b", 1.0, 1)]
    assert "'too' for 'two'" in capsys.readouterr().err
