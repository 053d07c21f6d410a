"""The commands `asr export` and `wakeword export`: a file is kept only when it does what torch does."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import asr
import asr.commands.export
import asr.model.onnx_export
import wakeword.export
from asr.cli import main
from asr.commands.export import export
from asr.model.checkpoint import CheckpointError, save_model
from asr.model.network.ctc import CTCModel
from asr.model.onnx import ExportError
from asr.model.options import ModelOptions
from wakeword.detector import FORMAT, VERSION, DetectorError, load
from wakeword.export import export as export_detector
from wakeword.runtime import ExportError as WakeError
from wakeword.train.model import TriggerModel, TriggerOptions

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

DATA = Path(__file__).parent / "data"
CLIP = str(DATA / "independence.opus")
NOISE = 0.1 * np.random.default_rng(2).standard_normal(32_000, np.float32)


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "english-onnx"
    assert main(["export", "--output", str(folder), "--check", CLIP]) == 0
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    save_model(CTCModel(ModelOptions(layers=2, hidden=8, channels=2)), path, {})
    return path


def test_the_packaged_model(english):
    clip = DATA / "printed-book.opus"
    found, wanted = (asr.load(model).transcribe(clip) for model in (english, "english"))
    assert found.text == wanted.text != ""
    for a, b in zip(found.segments, wanted.segments, strict=True):
        assert [(w.text, w.start, w.end) for w in a.words] == [(w.text, w.start, w.end) for w in b.words]
    assert sorted(p.name for p in english.parent.iterdir()) == ["english-onnx"]


def test_a_live_stream(english):
    from asr import audio

    finals = []
    for model in (english, "english"):
        results = asr.Listener(asr.load(model, threads=1)).over(audio.blocks(CLIP))
        finals.append([(r.kind, r.time, r.text) for r in results])
    assert finals[0] == finals[1] and finals[0]


def test_what_differs_is_not_kept(small, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    export(small, folder, [CLIP])
    before = (folder / "model.json").stat().st_mtime_ns
    monkeypatch.setattr(asr.commands.export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differs from torch.*nothing was kept"):
        export(small, folder, [CLIP])
    assert (folder / "model.json").stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_export_replaces_an_older_one(small, tmp_path):
    for _ in range(2):
        assert export(small, tmp_path / "out", [CLIP]).difference < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_places_that_cannot_be_written(small, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ExportError, match="holds no exported model"):
        export(small, tmp_path / "mine", [CLIP])
    with pytest.raises(ExportError, match="no folder.*make it first"):
        export(small, tmp_path / "a" / "b", [CLIP])


def test_audio_that_checks_nothing(small, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000, np.float32), 16_000)
    with pytest.raises(ExportError, match="no speech was found"):
        export(small, tmp_path / "out", [str(tmp_path / "silence.wav")])
    with pytest.raises(asr.audio.files.AudioError):
        export(small, tmp_path / "out", [str(tmp_path / "nothing.wav")])
    assert not (tmp_path / "out").exists()


def test_layers_that_cannot_be_exported(tmp_path):
    path = tmp_path / "lstm.safetensors"
    save_model(CTCModel(ModelOptions(kind="lstm", layers=2, hidden=8, channels=2)), path, {})
    with pytest.raises(ExportError, match="this model has lstm layers"):
        export(path, tmp_path / "out", [CLIP])


def test_what_to_do_without_onnx(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(asr.model.onnx_export, "find_spec", lambda name: None)
    assert main(["export", str(small), "--output", str(tmp_path / "out"), "--check", CLIP]) == 2
    assert "pip install onnx onnxruntime" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_such_model(tmp_path, capsys):
    with pytest.raises(CheckpointError, match="no model called"):
        export("nobody", tmp_path / "out", [CLIP])
    assert main(["export", "nobody", "--check", CLIP]) == 2
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


@pytest.fixture(scope="module")
def detectors(tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp("wake")
    path, output = detector(folder / "hey.safetensors"), folder / "hey.onnx"
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
    with pytest.raises(WakeError, match="lstm layers"):
        export_detector(path, tmp_path / "lstm.onnx", [CLIP])
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
