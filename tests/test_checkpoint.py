"""Checkpoints: what is written comes back, and what is wrong is said in one sentence."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save, save_file

import asr.model.checkpoint
from asr.audio.features import LogMelOptions
from asr.files import atomic_write_bytes
from asr.model.checkpoint import CheckpointError, ModelOptions, load_weights, locate, store_int8, update_card
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel, load_network, save_model
from asr.model.network.recurrent import KINDS
from asr.model.onnx import load_model
from asr.model.streaming import encode

torch.set_num_threads(1)
OPTIONS = ModelOptions(LogMelOptions(n_mels=20, high=7_000.0), (" ", "a", "'"), ("AH", "K"), "gru", 1, 4, 2, 0.0)
CARD = {"licence": "CC0", "wer": {"dev": 0.25}, "data": ["dev", "éü"]}


def make(kind: str = "gru") -> CTCModel:
    torch.manual_seed(5)
    model = CTCModel(ModelOptions(**{**vars(OPTIONS), "kind": kind})).eval()
    model.mean.normal_()
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_model(make(), path, CARD)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(tmp_path, kind):
    model, path = make(kind), tmp_path / "m.safetensors"
    save_model(model, path, CARD)
    loaded, card = load_network(path)
    assert card == CARD and loaded.options == model.options and not loaded.training
    frames, lengths = torch.randn(2, 30, 20), torch.tensor([30, 22])
    for latency in (None, Latency(2, 1)):
        assert torch.equal(loaded(frames, lengths, latency)[0], model(frames, lengths, latency)[0])
    assert loaded.alphabet.symbols == [" ", "a", "'"] and loaded.frontend.options.high == 7_000


def test_half_the_bytes(tmp_path, written):
    model, path = make(), tmp_path / "half.safetensors"
    save_model(model, path, CARD, half=True)
    loaded, _ = load_network(path)
    assert next(loaded.parameters()).dtype == torch.float32
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    weights = 4 * sum(v.numel() for v in model.state_dict().values())
    assert written.stat().st_size - path.stat().st_size == pytest.approx(weights / 2, abs=100)


@pytest.mark.parametrize("kind", KINDS)
def test_large_matrices_in_int8(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(asr.model.checkpoint, "LEAST_INT8", 48)
    model, path = make(kind), tmp_path / "int8.safetensors"
    model.phoneme_head.weight.data[1] = 0  # a row without a scale
    save_model(model, path, CARD, half=True)
    store_int8(path)
    (_, found, card), stored = load_weights(path), load(path.read_bytes())
    assert card == CARD and set(found) == set(model.state_dict())
    for name, weight in model.state_dict().items():
        step = weight.abs().amax(-1, keepdim=True) / 127 if weight.ndim == 2 and weight.numel() >= 48 else 0
        assert (stored[name].dtype == torch.int8) == torch.is_tensor(step), name
        assert ((torch.from_numpy(found[name]).float() - weight).abs() <= step * 0.51 + 1e-3 * weight.abs()).all()
    assert sum(weight.dtype == torch.int8 for weight in stored.values()) >= 3
    network = load_network(path)[0]
    frames = np.random.default_rng(0).normal(size=(40, 20)).astype(np.float32)
    for of_torch, of_onnx in zip(encode(network, [frames])[0], encode(load_model(path, float32=True)[0], [frames])[0]):
        np.testing.assert_allclose(of_onnx, of_torch, atol=1e-4)
    update_card(path, {"licence": "CC BY"})
    store_int8(path)  # changes nothing any more
    again = load(path.read_bytes())
    assert set(again) == set(stored) and all(torch.equal(again[name], weight) for name, weight in stored.items())
    assert load_network(path)[1]["licence"] == "CC BY"


def rewritten(source: Path, target: Path, **head: str | None) -> Path:
    """The same weights under other metadata."""
    with asr.model.checkpoint.safe_open(source, framework="pt") as file:
        metadata = {k: v for k, v in {**file.metadata(), **head}.items() if v is not None}
    target.write_bytes(save(load(source.read_bytes()), metadata))
    return target


def message(path: Path | str) -> str:
    said = []
    for read in (load_network, load_model):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        said.append(str(caught.value))
    assert "\n" not in "".join(said) and [s.partition("(")[0] for s in said] == [said[0].partition("(")[0]] * 2
    return said[0]


def test_another_version(tmp_path, written):
    said = message(rewritten(written, tmp_path / "v9", version="9"))
    assert "version 9" in said and "versions up to 2" in said and "install the matching release" in said
    assert "of another version" in message(rewritten(written, tmp_path / "none", version=None))


def test_another_kind_of_file(tmp_path, written):
    assert "no acoustic model" in message(rewritten(written, tmp_path / "other", format="asr-vad"))
    save_file({"weight": torch.zeros(3)}, tmp_path / "plain.safetensors")
    assert "an unknown program" in message(tmp_path / "plain.safetensors")


@pytest.mark.parametrize(
    "head",
    [
        {"options": None}, {"options": "{"}, {"options": "[1]"}, {"options": "{}"},
        {"card": None}, {"card": "{"},
        {"options": json.dumps(OPTIONS.asdict() | {"hidden": 5})},
        {"options": json.dumps(OPTIONS.asdict() | {"kind": "rnn"})},
        {"options": json.dumps(OPTIONS.asdict() | {"colour": "blue"})},
        {"options": json.dumps(OPTIONS.asdict() | {"frontend": [80]})},
        {"options": json.dumps(OPTIONS.asdict() | {"hidden": None})},
    ],
)  # fmt: skip
def test_damaged_metadata(tmp_path, written, head):
    assert "is damaged" in message(rewritten(written, tmp_path / "m", **head))


@pytest.mark.parametrize("keep", [0, 5, 100, 700, -1])
def test_cut_off(tmp_path, written, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(written.read_bytes()[:keep])
    assert "is damaged" in message(path) and str(path) in message(path)


def test_no_checkpoint_at_all(tmp_path):
    (tmp_path / "noise").write_bytes(os.urandom(5_000))
    (tmp_path / "text").write_text("RIFF of a kind\n" * 50)
    assert "is damaged" in message(tmp_path / "noise") and "is damaged" in message(tmp_path / "text")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_is_damage_or_harmless(tmp_path, written, data):
    content = bytearray(written.read_bytes())
    position = data.draw(st.integers(0, 8 + int.from_bytes(content[:8], "little")))
    content[position] ^= data.draw(st.integers(1, 255))
    (tmp_path / "m").write_bytes(content)
    for read in (load_network, load_model):
        try:
            read(tmp_path / "m")
        except CheckpointError as error:
            assert str(tmp_path) in str(error)


def test_weights_of_another_shape(tmp_path, written):
    weights = load(written.read_bytes())
    weights["head.weight"] = weights["head.weight"][:, :3].contiguous()
    with asr.model.checkpoint.safe_open(written, framework="pt") as file:
        (tmp_path / "m").write_bytes(save(weights, file.metadata()))
    assert "is damaged" in message(tmp_path / "m")


def test_an_unknown_name_lists_the_packaged_models(tmp_path, monkeypatch):
    monkeypatch.setattr(asr.model.checkpoint, "MODELS", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "'english'" in message("english") and "(none)" in message("english")
    for name in ("english", "english-small"):
        save_model(make(), tmp_path / f"{name}.safetensors", {"name": name})
    (tmp_path / "vad.safetensors").write_bytes(b"")
    assert "no model called 'englsh'" in message("englsh")
    assert "(english, english-small)" in message("englsh") and "(english, english-small)" in message(tmp_path)
    assert locate("english-small") == tmp_path / "english-small.safetensors"
    assert load_network("english-small")[1] == {"name": "english-small"} and load_network()[1] == {"name": "english"}
    assert load_network(tmp_path / "english.safetensors")[1] == {"name": "english"}


def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    whole = Path.write_bytes

    def full_disk(self: Path, data: bytes) -> None:
        whole(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(make(), path, CARD)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["m.safetensors"] and path.read_bytes() == b"old"
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        atomic_write_bytes(path, b"new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["m.safetensors"] and path.read_bytes() == b"old"
    atomic_write_bytes(path, b"new")
    assert os.listdir(tmp_path) == ["m.safetensors"] and path.read_bytes() == b"new"
