"""Attention decoders in files, the recipe that makes them, and the command that uses them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from test_attention import MODEL, SMALL
from test_training import MODEL as TONES
from test_training import write_corpus

from asr.attention.decoder import AttentionDecoder
from asr.attention.joint import FORMAT as ATTENTION
from asr.attention.joint import JointModel, attach_attention, load_joint
from asr.attention.search import EOS
from asr.cli import main
from asr.errors import Error
from asr.model.checkpoint import MODELS, AttentionOptions, CheckpointError, ModelOptions, read_weights
from asr.model.network.ctc import save_model
from asr.training.config import read_config
from asr.training.data import Utterance
from recipes.attention import train as recipe
from recipes.attention.evaluate import Scored, tuned

torch.set_num_threads(1)
CLIPS = Path(__file__).parent / "data"


# files


def test_a_joint_checkpoint_keeps_its_decoder(tmp_path):
    model, path = JointModel(MODEL).eval(), tmp_path / "joint.safetensors"
    save_model(model, path, {})
    loaded, _ = load_joint(path)
    attach_attention(loaded, path)
    assert loaded.options == MODEL
    hidden = torch.randn(4, model.encoder.size)
    assert loaded.attention.ln_probability(hidden, ["ab"]) == model.attention.ln_probability(hidden, ["ab"])


def test_models_without_attention_are_what_they_were():
    options = replace(MODEL, attention=None)
    assert (
        "attention" not in options.asdict()
        and ModelOptions.from_dict(json.loads(json.dumps(options.asdict()))) == options
    )
    model, _ = load_joint("english")
    assert model.attention is None and not [k for k in model.state_dict() if "attention" in k]


@pytest.fixture
def apart(tmp_path) -> Path:
    """An encoder's checkpoint, its decoder beside it."""
    model, path = JointModel(MODEL).eval(), tmp_path / "one.safetensors"
    recipe.save_attention(model, tmp_path / "one-attention.safetensors", {"name": "one"})
    model.attention, model.options = None, replace(MODEL, attention=None)
    save_model(model, path, {}, half=True)
    return path


def test_a_decoder_of_its_own_is_found_beside_the_encoder(apart):
    model, _ = load_joint(apart)
    attach_attention(model, apart)
    assert model.attention.options == SMALL
    assert not model.attention.training


def test_the_packaged_decoder_belongs_to_the_packaged_encoder():
    if not (MODELS / "english-attention.safetensors").exists():
        pytest.skip("no attention decoder is packaged")
    model, _ = load_joint("english")
    attach_attention(model, "english")
    assert model.attention


def message(model: JointModel, path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        attach_attention(model, path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_decoder_that_belongs_elsewhere(apart, tmp_path):
    model, _ = load_joint(apart)
    with torch.no_grad():
        model.encoder.norms[0].weight[0] += 0.1
    assert "another encoder" in message(model, apart) and "recipes.attention.train" in message(model, apart)
    beside = tmp_path / "one-attention.safetensors"
    beside.write_bytes(beside.read_bytes()[:-10])
    assert "damaged" in message(model, apart)
    shutil.copy(apart, beside)
    assert "no attention decoder" in message(model, apart)
    beside.unlink()
    assert "no attention decoder" in message(model, apart) and "one-attention" in message(model, apart)


def test_a_section_of_the_configuration_asks_for_it(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[attention]\nhidden = 12\n[[stages]]\nupdates = 1\n")
    assert read_config(path, None)[0].attention == AttentionOptions(hidden=12)
    path.write_text("[[stages]]\nupdates = 1\n")
    assert read_config(path, None)[0].attention is None
    path.write_text("[attention]\nheads = 12\n[[stages]]\nupdates = 1\n")
    with pytest.raises(Error, match="heads"):
        read_config(path, None)


def test_the_recipe_makes_a_decoder_for_an_encoder(apart, tmp_path, monkeypatch, capsys):
    tones, config = write_corpus(tmp_path / "tones"), tmp_path / "c.toml"
    config.write_text("[attention]\nhidden = 8\n[train]\nbatch_seconds = 12\n[[stages]]\nupdates = 3\n")
    save_model(JointModel(replace(TONES, layers=2)), apart, {}, half=True)
    with pytest.raises(CheckpointError, match="another encoder"):
        attach_attention(load_joint(apart)[0], apart)
    arguments = ["train", str(tones), "--dev", str(tones), "--out", str(tmp_path), "--encoder", str(apart)]
    monkeypatch.setattr("sys.argv", [*arguments, "--config", str(config)])
    recipe.main()
    model, _ = load_joint(apart)
    attach_attention(model, apart)
    card = json.loads(read_weights(tmp_path / "one-attention.safetensors", ATTENTION, "")[1]["card"])
    assert card["updates"] == 3 and card["encoder"] == "one" and model.attention.options.hidden == 8
    monkeypatch.setattr("sys.argv", [*arguments[:-1], "nowhere"])
    with pytest.raises(SystemExit, match="no model called"):
        recipe.main()


def test_the_weight_of_attention_is_tuned_on_the_other_half():
    said = [Utterance(Path("x"), 1.0, text, "c", "s") for text in ("a", "b", "a", "b")]
    helped = [Scored("b", -1.0, -9.0), Scored("a", -2.0, -1.0)]  # attention prefers a
    texts, weights = tuned(said, [helped] * 4)
    assert weights[0] == 0 and weights[1] > 0.1  # the odd ones say b, the even ones a
    assert texts == ["b", "a", "b", "a"]  # each half has the weight that suits the other


# the command


@pytest.fixture(scope="module")
def untaught(tmp_path_factory) -> Path:
    """The packaged encoder with a decoder that knows nothing, and so spells something anyway."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(MODELS / "english.safetensors", folder / "english.safetensors")
    model, _ = load_joint(folder / "english.safetensors")
    torch.manual_seed(2)
    options = AttentionOptions(hidden=8, memory=6, energy=5, embedding=4)
    model.attention = AttentionDecoder(model.encoder.size, model.alphabet, options)
    with torch.no_grad():
        model.attention.output.bias[EOS] = -2.0
    recipe.save_attention(model, folder / "english-attention.safetensors", {})
    return folder / "english.safetensors"


def test_command_spells_and_draws(untaught, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    clip = next(CLIPS.glob("*.opus"))
    assert main(["attention", str(clip), "--model", str(untaught), "--plot", str(tmp_path / "map.png")]) == 0
    said = capsys.readouterr()
    assert said.out.strip() and set(said.out) <= set(" 'abcdefghijklmnopqrstuvwxyz\n") and "error" not in said.err
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_command_with_silence_says_so(untaught, tmp_path, capsys):
    soundfile.write(tmp_path / "silence.wav", np.zeros(32_000), 16_000)
    assert main(["attention", str(tmp_path / "silence.wav"), "--model", str(untaught)]) == 0
    said = capsys.readouterr()
    assert said.out == "" and "no speech was found" in said.err


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["nowhere.wav"], 1, "nowhere.wav"),
        (["x.wav", "--model", "nowhere"], 2, "no model called"),
        (["x.wav", "--plot", "map.jpg"], 2, "map.png"),
        (["x.wav", "--plot", "no/such/map.png"], 2, "no folder"),
    ],
)
def test_command_with_bad_input(untaught, capsys, arguments, status, words):
    pytest.importorskip("matplotlib")
    with_model = arguments if "--model" in arguments else [*arguments, "--model", str(untaught)]
    assert main(["attention", *with_model]) == status
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and words in said.err
