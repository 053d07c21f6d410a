"""The commands `asr export` and `wakeword export`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import wakeword.export
from asr.cli import main
from asr.commands.export import HEAD, LAYERS, SUBSAMPLING, export
from asr.errors import Error
from asr.model.checkpoint import ModelOptions
from asr.model.network.ctc import CTCModel, load_network, save_model
from asr.model.onnx import session
from wakeword.detector import FORMAT, VERSION, DetectorError, load
from wakeword.export import ExportError as WakeError
from wakeword.export import export as export_detector
from wakeword.train import TriggerModel, TriggerOptions

DATA = Path(__file__).parent / "data"
CLIP = str(DATA / "independence.opus")
NOISE = 0.1 * np.random.default_rng(2).standard_normal(32_000, np.float32)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    save_model(CTCModel(ModelOptions(layers=2, hidden=8, channels=2)), path, {"name": "small"})
    return path


def test_the_graphs_run_anywhere_and_the_card_goes_along(small, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["export", str(small), "--output", str(folder)]) == 0
    assert "out: 0.0 MB" in capsys.readouterr().err
    head = json.loads((folder / HEAD).read_text())
    assert head["card"] == {"name": "small"} and len(head["mean"]) == 80 and head["options"]["hidden"] == 8
    frames = np.random.default_rng(0).normal(size=(1, 43, 80)).astype(np.float32)
    frames[:, 40:] = head["mean"]  # stands after the end
    subsampling, layers = (session(folder / name) for name in (SUBSAMPLING, LAYERS))
    (hidden,) = subsampling.run(None, {"frames": frames})
    states, ahead = np.zeros((2, 1, 8), np.float32), np.zeros((1, 1, 1, 8), np.float32)
    given = {"chunks": hidden[:, None], "ahead": ahead, "valid": np.full((1, 1), 10, np.int32), "states": states}
    letters, new_states = layers.run(None, given)
    wanted = load_network(small)[0](torch.from_numpy(frames[:, :40]), torch.tensor([40]))[0]
    assert letters.shape == (1, 1, 11, 29) and new_states.shape == states.shape
    np.testing.assert_allclose(letters[0, 0, :10], wanted[0].detach().numpy(), atol=1e-4)


def test_the_onnx_package_finds_nothing_wrong(small, tmp_path):
    onnx = pytest.importorskip("onnx")
    export(small, tmp_path / "out")
    for name in (SUBSAMPLING, LAYERS):
        onnx.checker.check_model(onnx.load(str(tmp_path / "out" / name)), full_check=True)


def test_an_export_replaces_an_older_one_and_nothing_else(small, tmp_path):
    for _ in range(2):
        export(small, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(Error, match="holds no exported model"):
        export(small, tmp_path / "mine")
    with pytest.raises(Error, match="no folder.*make it first"):
        export(small, tmp_path / "a" / "b")


def test_an_exported_folder_is_no_model(small, tmp_path, capsys):
    export(small, tmp_path / "out")
    assert main(["transcribe", "--model", str(tmp_path / "out"), CLIP]) == 2
    assert "out' (a folder): give a checkpoint file" in capsys.readouterr().err


def test_no_such_model(tmp_path, capsys):
    assert main(["export", "nobody", "--output", str(tmp_path / "out")]) == 2
    assert "no model called" in capsys.readouterr().err


# --- wake words


def detector(path: Path, kind: str = "gru") -> Path:
    torch.manual_seed(1)
    options = TriggerOptions(kind=kind, layers=2, hidden=12, channels=10)
    model = TriggerModel(options)
    model.output.weight.data *= 20
    card = {"phrase": "hey you", "detector": {"threshold": 0.5}, "thresholds": {"0.5": 0.6}}
    head = {"format": FORMAT, "version": VERSION, "options": json.dumps(options.asdict())}
    save_file(model.state_dict(), path, head | {"card": json.dumps(card)})
    return path


@pytest.fixture(scope="module", params=["gru", "lstm", "peephole"])
def detectors(tmp_path_factory, request) -> tuple:
    folder = tmp_path_factory.mktemp("wake")
    path, output = detector(folder / "hey.safetensors", request.param), folder / "hey.onnx"
    far, seconds = export_detector(path, output, [CLIP])
    assert far < 1e-4 and seconds > 1
    return load(path), load(output), output


def test_a_detector_keeps_its_card(detectors):
    by_numpy, exported, output = detectors
    assert exported.card == by_numpy.card and exported.phrase == "hey you"
    assert load(output, rate=0.5).options.threshold == 0.6


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(NOISE)), max_size=6))
def test_a_detector_hears_the_same_in_any_cut(detectors, cuts):
    by_numpy, exported, _ = detectors
    state, parts = exported.start(), []
    for part in np.split(NOISE, sorted(cuts)):
        scores, state = exported.scores(part, state)
        parts.append(scores)
    np.testing.assert_allclose(np.concatenate(parts), by_numpy.scores(NOISE, by_numpy.start())[0], atol=1e-5)


def test_detectors_that_cannot_be_exported(tmp_path, detectors, monkeypatch):
    path = detector(tmp_path / "lstm.safetensors", "lstm")
    with pytest.raises(WakeError, match="ends in .onnx"):
        export_detector(path, tmp_path / "lstm.bin", [CLIP])
    with pytest.raises(WakeError, match="exported already"):
        export_detector(detectors[2], tmp_path / "again.onnx", [CLIP])
    monkeypatch.setattr(wakeword.export, "TOLERANCE", -1.0)
    with pytest.raises(WakeError, match="nothing was kept"):
        export_detector(detector(tmp_path / "gru.safetensors"), tmp_path / "gru.onnx", [CLIP])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gru.safetensors", "lstm.safetensors"]


def test_files_that_are_no_exported_detector(tmp_path, detectors):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(DetectorError, match="damaged"):
        load(tmp_path / "text.onnx")
    (tmp_path / "cut.onnx").write_bytes(detectors[2].read_bytes()[:-200])
    with pytest.raises(DetectorError, match="damaged"):
        load(tmp_path / "cut.onnx")
