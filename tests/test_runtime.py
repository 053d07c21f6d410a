"""The model compiled and by onnxruntime: the torch network's outputs for any cut of any streams, no torch in sight."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.model import checkpoint
from asr.model import onnx as runtime
from asr.model.checkpoint import ModelOptions, load_weights, store_int8
from asr.model.compiled import CompiledModel
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel, save_model
from asr.model.network.recurrent import KINDS
from asr.model.onnx import OnnxModel, load_model
from asr.model.streaming import Chunk, StreamingEncoder, encode
from asr.native import encoder as native

CLIP = Path(__file__).parent / "data" / "independence.opus"
LATENCIES = [None, Latency(2, 6), Latency(3, 0), Latency(1, 5), Latency(64, 8)]


def make(kind: str = "gru", **others) -> CTCModel:
    torch.manual_seed(3)
    options = {"phonemes": ("AA", "B"), "layers": 3, "hidden": 8, "channels": 3, "deep_phonemes": True} | others
    model = CTCModel(ModelOptions(kind=kind, **options)).eval()
    model.mean.uniform_(-1, 1)
    model.deviation.uniform_(0.5, 2)
    for name, parameter in model.named_parameters():
        if name.endswith("peephole"):
            torch.nn.init.normal_(parameter)
    return model


def onnx(network: CTCModel) -> OnnxModel:
    return OnnxModel(network.options, {name: w.numpy() for name, w in network.state_dict().items()})


def compiled(network: CTCModel, lanes: int = 16) -> CompiledModel:
    return CompiledModel(network.options, {name: w.numpy() for name, w in network.state_dict().items()}, lanes)


NETWORKS = {kind: make(kind) for kind in KINDS}
NETWORKS["30 ms"], NETWORKS["20 ms"] = make(stride=3), make(stride=2)
MODELS = {kind: onnx(network) for kind, network in NETWORKS.items()}
ONNX = len(MODELS)
if native:  # by the width of its vectors; as large as more than one panel of weights
    NETWORKS["compiled"] = make(hidden=24, channels=5)
    NETWORKS |= {f"compiled {lanes}": NETWORKS["compiled"] for lanes in (4, 8)}
    MODELS |= {kind: compiled(NETWORKS[kind], int(kind[8:] or 16)) for kind in list(NETWORKS)[ONNX:]}
    NETWORKS |= {f"compiled, {kind}": NETWORKS[kind] for kind in ("30 ms", "20 ms")}
    MODELS |= {kind: compiled(NETWORKS[kind]) for kind in list(NETWORKS)[len(MODELS) :]}
needs_a_compiler = pytest.mark.skipif(native is None, reason="installed without a compiler")
LETTERS = {"phonemes": (), "deep_phonemes": False}
BYTES = [1, 2, 3, 4]  # kinds of products: asr/native/dots.h


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 80)).astype(np.float32)


def same(found, wanted) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("kind", MODELS)
def test_recordings_have_the_outputs_of_torch(kind, latency):
    recordings = [frames(n, seed=n) for n in (0, 1, 6, 7, 50, 133, 260)]
    for found, wanted in zip(
        encode(MODELS[kind], recordings, latency), encode(NETWORKS[kind], recordings, latency), strict=True
    ):
        same(found, wanted)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 150), max_size=5),
    other=st.integers(0, 150),
    latency=st.sampled_from(LATENCIES[1:]),
    kind=st.sampled_from(sorted(MODELS)),
)
def test_any_cut_beside_another_stream(cuts, other, latency, kind):
    encoder, x, y = StreamingEncoder(MODELS[kind], latency), frames(150), frames(other, seed=1)
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
        same([np.concatenate(part) for part in zip(*found)], encode(NETWORKS[kind], [recording], latency)[0])


@pytest.mark.parametrize("others", [LETTERS, {"units": "phonemes", "deep_phonemes": False}, {"deep_phonemes": False}])
def test_other_heads(others):
    network = make(**others)
    for latency in (None, Latency(2, 6)):
        for model in [onnx(network)] + [compiled(network)] * (native is not None):
            same(encode(model, [frames(60)], latency)[0], encode(network, [frames(60)], latency)[0])


@needs_a_compiler
def test_int8_is_computed_with_as_it_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LEAST_INT8", 1000)
    network, path = make(hidden=80, channels=5), tmp_path / "m.safetensors"
    save_model(network, path, {}, half=True)
    fine = encode(load_model(path)[0], [frames(60)])[0]
    store_int8(path)
    options, weights, _ = load_weights(path, as_stored=True)
    assert weights["encoder.layers.1.forwards.weight_hh_l0"].dtype == np.int8
    _, coarse, _ = load_weights(path)
    for lanes in (4, 8, 16):
        found = encode(CompiledModel(options, weights, lanes, 0), [frames(60)])[0]
        same(found, encode(OnnxModel(options, coarse), [frames(60)])[0])
        assert 0 < np.abs(found.letters - fine.letters).max() < 0.05
    same(encode(load_model(path, float32=True)[0], [frames(60)])[0], found)
    for kind in BYTES:
        by_bytes = encode(CompiledModel(options, weights, products=kind), [frames(60)])[0]
        assert np.abs(by_bytes.letters - fine.letters).max() < 0.08
        same(by_bytes, encode(CompiledModel(options, weights, products=1), [frames(60)])[0])


@needs_a_compiler
@pytest.mark.parametrize("kind", BYTES)
def test_bytes_are_multiplied_as_whole_numbers(kind):
    """To the bit what numpy makes of the same whole numbers; a row depends on nothing but itself."""
    rng = np.random.default_rng(0)
    for rows, inputs, outputs in ((1, 384, 1152), (61, 768, 200), (5, 30, 65), (3, 7, 3), (2, 1, 1)):
        x = (rng.normal(size=(rows, inputs)) * 10 ** rng.uniform(-3, 3, (rows, 1))).astype(np.float32)
        x[0] = 0
        w = rng.integers(-128, 128, (outputs, inputs)).astype(np.int8)
        w[-1] = -128
        scales, bias = (rng.normal(size=outputs).astype(np.float32) for _ in range(2))
        found = np.empty((rows, outputs), np.float32)
        if native.product((rows, inputs, outputs), (16, kind), x, [(w, scales, bias)], found) != kind:
            pytest.skip("this processor multiplies bytes in another way")
        largest = np.abs(x).max(1, keepdims=True)
        factors = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
        sums = np.rint(x * factors).astype(np.int64) @ w.T.astype(np.int64)
        steps = (scales * (largest / np.float32(127))).astype(np.float64)
        wanted = (sums * steps + bias).astype(np.float32)
        if kind == BYTES[0]:  # rounds once more before the bias is added, where it has no fused instruction
            np.testing.assert_allclose(found, wanted, 1e-6, 1e-6 * np.abs(bias).max())
        else:
            np.testing.assert_array_equal(found, wanted)


def in_int8(network: CTCModel) -> dict[str, np.ndarray]:
    """Weights as stored, the recurrent layers' in int8."""
    weights = {name: w.numpy() for name, w in network.state_dict().items()}
    for name in [name for name, w in weights.items() if ".layers." in name and w.ndim == 2]:
        weights[name], weights[name + checkpoint.ROW_SCALES] = checkpoint._in_int8(weights[name])
    return weights


COARSE = make(hidden=40, channels=5)


@needs_a_compiler
@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 150), max_size=12),
    others=st.lists(st.integers(0, 150), max_size=6),
    latency=st.sampled_from(LATENCIES[1:]),
    vectors=st.sampled_from([*((16, kind) for kind in BYTES), (16, 0), (8, 0), (4, 0)]),
    stored=st.sampled_from(["float32", "int8"]),
)
def test_no_cut_and_no_other_stream_changes_a_bit(cuts, others, latency, vectors, stored):
    weights = in_int8(COARSE) if stored == "int8" else {name: w.numpy() for name, w in COARSE.state_dict().items()}
    model, x = CompiledModel(COARSE.options, weights, *vectors), frames(150)
    encoder, parts, chunks = StreamingEncoder(model, latency), [], np.split(x, sorted(cuts))
    state, beside = encoder.start(), [encoder.start() for _ in others]
    for i, part in enumerate(chunks):
        also = [Chunk(frames(n, seed=n), b) for n, b in zip(others, beside)] if i % 2 else []
        (posteriors, state), *rest = encoder.step([Chunk(part, state, i == len(chunks) - 1), *also])
        beside = [b for _, b in rest] or beside
        parts.append(posteriors)
    alone, *batch = encode(model, [x], latency) + encode(model, [x, *(frames(n) for n in others)], latency)
    found = parts[0].concatenate(*parts[1:])
    for other in (alone, batch[0]):
        for a, b in zip(found, other, strict=True):
            np.testing.assert_array_equal(a, b)


@needs_a_compiler
def test_what_runs_a_model(tmp_path, monkeypatch):
    for kind in ("gru", "lstm"):
        save_model(NETWORKS[kind], tmp_path / f"{kind}.safetensors", {})
    assert isinstance(load_model(tmp_path / "gru.safetensors")[0], CompiledModel)
    assert isinstance(load_model(tmp_path / "gru.safetensors", threads=2)[0], OnnxModel)
    assert isinstance(load_model(tmp_path / "lstm.safetensors")[0], OnnxModel)
    monkeypatch.setattr(runtime, "native", None)
    assert isinstance(load_model(tmp_path / "gru.safetensors")[0], OnnxModel)


@needs_a_compiler
def test_weights_that_do_not_fit_the_sizes():
    network = make()
    weights = {name: w.numpy() for name, w in network.state_dict().items()}
    for name in weights:
        if weights[name].size > 1:
            with pytest.raises(ValueError):
                CompiledModel(network.options, weights | {name: weights[name][..., :-1]})
    with pytest.raises(ValueError):
        compiled(network).subsample(frames(6)[None])


@pytest.mark.parametrize("half", [False, True])
def test_what_training_writes_runs_at_once(tmp_path, half):
    save_model(NETWORKS["gru"], tmp_path / "m.safetensors", {"name": "small"}, half)
    model, card = load_model(tmp_path / "m.safetensors", threads=2)
    assert card == {"name": "small"} and model.options == NETWORKS["gru"].options
    (found,), (wanted,) = (encode(m, [frames(60)]) for m in (model, NETWORKS["gru"]))
    np.testing.assert_allclose(found.letters, wanted.letters, atol=0.01 if half else 1e-4)


def without_torch(code: str, *arguments: str | Path) -> str:
    code = "import sys; sys.modules['torch'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_files_streams_and_alignment_without_torch(tmp_path):
    code = """
import asr
from asr import audio
from asr.cli import main
recognizer = asr.load()
text = recognizer.transcribe(sys.argv[1]).text
results = list(asr.Listener(recognizer).over(audio.blocks(sys.argv[1])))
assert text and results[-1].text
assert main(["transcribe", "--quiet", "--latency", "320", sys.argv[1]]) == 0
open(sys.argv[2], "w").write(text)
assert main(["align", sys.argv[1], sys.argv[2]]) == 0
assert main(["score", sys.argv[2], sys.argv[2]]) == 0
print(text)
"""
    written = without_torch(code, CLIP, tmp_path / "text.txt")
    assert "in the American " in written and written.lower().endswith(" american war of independence.")


def test_a_microphone_a_wake_word_and_the_server_without_torch():
    code = """
sys.path.insert(0, sys.argv[1])
from test_listen import Source
from asr.cli import main
from asr.commands import listen
listen.Microphone = Source
assert main(["listen", "--latency", "320"]) == 0
import asr.serve.app, asr.serve.command, asr.serve.websocket, asr.serve.wyoming, wakeword.cli_listen, wakeword.several
print("heard")
"""
    assert "He took part in the American" in without_torch(code, CLIP.parent.parent)


def test_any_phrase_in_files_and_the_second_opinion_without_torch():
    code = """
from wakeword.cli import main
assert main(["detect", "--phrase", "independence", sys.argv[1]]) == 0
assert main(["detect", "--model", "computer", "--threshold", "0.01", "--verify", sys.argv[1]]) == 0
print("heard")
"""
    assert without_torch(code, CLIP).endswith("heard")


def test_what_to_do_when_torch_is_missing(tmp_path):
    code = """
from asr.cli import main
assert main(["finetune", sys.argv[1], "--out", "x.safetensors"]) == 2
"""
    (tmp_path / "a.jsonl").write_text("")
    done = without_torch(code + "print('said')", tmp_path / "a.jsonl")
    assert done.endswith("said")


def test_importing_is_quick():
    code = """
import time
began = time.process_time()
import asr
asr.load, asr.Listener
print(time.process_time() - began)
assert "onnxruntime" not in sys.modules
"""
    assert min(float(without_torch(code)) for _ in range(4)) < 0.4
