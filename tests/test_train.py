"""`asr train` and `asr finetune`: recordings in, a model that `asr transcribe` loads out; what stops them, and how."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from test_training import LEXICON, SENTENCES, spoken

from asr import audio
from asr.audio.features import SAMPLE_RATE
from asr.cli import main
from asr.errors import Error
from asr.model.checkpoint import update_card
from asr.model.network.ctc import load_network
from asr.training import acoustic
from asr.training.config import as_toml, from_a_model, from_nothing, read_config
from asr.training.corpora import hold_out, usable
from asr.training.data import ManifestError, Utterance

ALL = (  # phonemes of English, as the packaged lexicon has them
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
)
torch.set_num_threads(1)
CONFIG = """
[model]
layers = 1
hidden = 8
channels = 2
[train]
evaluate_every = 2
batch_seconds = 6
warmup = 1
[augment]
room = 0.0
[[stages]]
updates = 4
"""


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    monkeypatch.setattr(acoustic, "draw_curves", lambda path: None)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of audio beside texts, a lexicon, a configuration."""
    (tmp_path / "data").mkdir()
    for i, text in enumerate(SENTENCES * 3):
        soundfile.write(tmp_path / "data" / f"{i}.wav", spoken(text), SAMPLE_RATE)
        (tmp_path / "data" / f"{i}.txt").write_text(text.upper() + ".\n")
    (tmp_path / "lexicon").write_text(f"ab AE1 B\ncab K AE1 B\nall {ALL}\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


def command(folder: Path, name: str, out: str, *more: str) -> int:
    common = ["--lexicon", str(folder / "lexicon"), "--config", str(folder / "config.toml"), "--device", "cpu"]
    return main([name, str(folder / "data"), "--out", str(folder / out), *common, *more])


def test_train_then_finetune_and_transcribe(folder, capsys):
    assert command(folder, "train", "run") == 0
    model, card = load_network(folder / "run" / "model.safetensors")
    assert model.options.hidden == 8 and set(card["log_priors"]) == {"letters", "phonemes"}
    record = json.loads((folder / "run" / "record.json").read_text())
    assert record["seed"] == 1 and record["data"]["dev"]["utterances"] >= 1 and len(record["runs"]) == 1
    assert sum(d["utterances"] for d in record["data"].values()) == 24
    assert "utterances held out; 1 layers of 8; 4 updates" in capsys.readouterr().err

    tuned = {"lexicon": {"lm": 0.9}}
    update_card(folder / "run" / "model.safetensors", {"weights": tuned})
    wanted = ["--model", str(folder / "run" / "model.safetensors"), "--others", str(folder / "data")]
    assert command(folder, "finetune", "mine.safetensors", *wanted) == 0
    shown = capsys.readouterr()
    assert "held out" in shown.out and "others" in shown.out and "mine.safetensors is ready" in shown.err
    card = load_network(folder / "mine.safetensors")[1]
    assert set(card["wer_before_and_after"]) == {"held out", "others"} and card["weights"] == tuned
    assert main(["transcribe", "--quiet", "--model", str(folder / "mine.safetensors"), str(folder / "data/0.wav")]) == 0

    whole = load_network(folder / "mine.safetensors")[0].state_dict()
    assert command(folder, "finetune", "mine.safetensors", *wanted, "--share", "0.25") == 0
    mixed, card = load_network(folder / "mine.safetensors")
    assert card["share"] == 0.25 and any(not torch.equal(whole[k], v) for k, v in model.state_dict().items())
    for name, value in mixed.state_dict().items():
        torch.testing.assert_close(value, 0.75 * model.state_dict()[name] + 0.25 * whole[name], atol=2e-3, rtol=1e-3)


def test_a_run_goes_on_and_can_be_repeated_from_what_it_left(folder, capsys):
    assert command(folder, "train", "run") == 0
    first = load_network(folder / "run" / "model.safetensors")[0].state_dict()
    assert command(folder, "train", "run") == 0
    assert len(json.loads((folder / "run" / "record.json").read_text())["runs"]) == 2
    (folder / "run" / "config.toml").rename(folder / "config.toml")
    assert command(folder, "train", "again") == 0
    again = load_network(folder / "again" / "model.safetensors")[0].state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    (folder / "again" / "config.toml").rename(folder / "config.toml")
    assert command(folder, "train", "again", "--dev", str(folder / "data")) == 2
    assert "holds a run that began with another data: name another folder" in capsys.readouterr().err


def test_curves_for_tensorboard_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard")
    acoustic.RunLog(tmp_path).add(update=1, loss=0.5)
    assert list((tmp_path / "tensorboard").glob("events*")) and (tmp_path / "log.csv").exists()


def test_a_configuration_survives_writing(tmp_path):
    large = from_nothing(20, LEXICON.phonemes)
    for configuration in (from_nothing(0.7, LEXICON.phonemes), large, from_a_model(large[0], 0.4)):
        (tmp_path / "c.toml").write_text(as_toml(configuration))
        read = read_config(tmp_path / "c.toml", LEXICON)
        assert as_toml(read) == as_toml(configuration) and read[1] == configuration[1]


@pytest.mark.parametrize("hours", [0.02, 0.5, 1, 10, 100, 1000])
def test_settings_for_any_amount_of_data(hours):
    for model, options, _ in (from_nothing(hours), from_a_model(from_nothing(1)[0], hours)):
        heard = sum(s.updates for s in options.stages) * options.batch_seconds / 3600
        assert heard >= min(4 * hours, hours * 8) and options.stages[-1].decay
        assert options.warmup < options.stages[0].updates and model.layers >= 3


def utterance(i: int, speaker: str = "unknown", text: str | None = None) -> Utterance:
    return Utterance(Path(__file__), 2.0, text or f"text {'a' * i}", "corpus", speaker)


def test_held_out_are_whole_speakers_or_texts_that_are_not_in_training():
    many = [utterance(i, f"s{i % 12}") for i in range(60)]
    rest, held = hold_out(many, 0.1, 100)
    assert held and not {u.speaker for u in rest} & {u.speaker for u in held} and len(rest) + len(held) == 60
    alone = [utterance(i % 20, "ann") for i in range(60)]
    rest, held = hold_out(alone, 0.1, 100)
    assert 6 <= len(held) <= 9 and not {u.text for u in rest} & {u.text for u in held}
    assert hold_out(alone[::-1], 0.1, 100)[1] == [u for u in alone[::-1] if u in held]


def test_what_cannot_be_trained_on_is_left_out_and_counted_or_refused():
    good = [utterance(i) for i in range(9)]
    kept, told = usable([*good, utterance(60)], "x.jsonl")
    assert kept == good and told == (
        "x.jsonl: left out of 10 utterances: 1 have more letters than their audio has frames"
    )
    digits = Utterance(Path(__file__), 2.0, "apples", "corpus", "ann", "21 apples")
    assert usable([*good, digits], "x")[1] == (
        "x: left out of 10 utterances: 1 have digits, signs or letters that the alphabet lacks"
    )
    gone = Utterance(Path("nowhere.wav"), 1.0, "a", "corpus", "ann")
    with pytest.raises(ManifestError, match="of 4 utterances 2 have no audio file, nowhere.wav the first; `asr data"):
        usable([*good[:2], gone, gone], "x.jsonl")


def test_wrong_durations_and_an_utterance_longer_than_the_batch_do_no_harm(folder):
    rows = [{"audio_filepath": f"{i}.wav", "duration": 50.0 if i else 0.1, "text": t} for i, t in enumerate(SENTENCES)]
    rows[0]["text"] = ""
    soundfile.write(folder / "data" / "1.wav", np.tile(spoken("ab"), 40), SAMPLE_RATE)  # 11 s, batches are of 6
    (folder / "data" / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    options = ["--lexicon", str(folder / "lexicon"), "--config", str(folder / "config.toml"), "--device", "cpu"]
    path = str(folder / "data" / "m.jsonl")
    assert main(["train", path, "--dev", path, "--out", str(folder / "run"), *options]) == 0
    kept = json.loads((folder / "run" / "record.json").read_text())["data"]["train"]
    seconds = sum(audio.duration(str(folder / "data" / f"{i}.wav")) for i in range(1, 8))
    assert kept["utterances"] == 7 and kept["hours"] * 3600 == pytest.approx(seconds, abs=0.5)


def test_a_full_disk_leaves_the_last_good_state(folder):
    """RLIMIT_FSIZE stands in for it: no file may grow beyond what the first part of the run has written."""
    assert command(folder, "train", "run") == 0
    state = (folder / "run" / "state.safetensors").read_bytes()
    more = CONFIG.replace("updates = 4", "updates = 8")
    (folder / "config.toml").write_text(more)
    (folder / "run" / "config.toml").unlink()  # (as if it had been of 8 updates from the start)
    limited = (
        "import resource, sys; from asr.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(state) // 2}, -1)); sys.exit(main(sys.argv[1:]))"
    )
    common = ["--lexicon", folder / "lexicon", "--config", folder / "config.toml", "--device", "cpu"]
    (folder / "run" / "record.json").unlink()
    done = subprocess.run(
        [sys.executable, "-c", limited, "train", folder / "data", "--out", folder / "run", *common],
        capture_output=True, text=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 2 and "File too large; what was saved before is whole: make room" in done.stderr
    assert (folder / "run" / "state.safetensors").read_bytes() == state
    assert not list((folder / "run").glob(".*"))
    assert command(folder, "train", "run") == 0


def test_a_share_lies_between_nothing_and_all(capsys):
    with pytest.raises(SystemExit):
        main(["finetune", "data", "--out", "x", "--share", "0"])
    assert "0 is no share: give a number above 0, and 1 at most" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere does not exist"),
        (["finetune", "DATA", "--out", "x.safetensors", "--model", "nobody"], "no model called 'nobody'"),
        (["finetune", "FEW", "--out", "x.safetensors"], "3 utterances are too few"),
        (["train", "DATA", "--out", "x", "--config", "none.toml"], "none.toml: No such file"),
        (["finetune", "DATA", "--out", "x.safetensors", "--others", "nowhere"], "nowhere does not exist"),
        (["train", "DATA", "--out", "x", "--threads", "0"], "'0' is not a whole number above 0"),
    ],
)
def test_what_stops_them_is_one_sentence(folder, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(folder)
    (folder / "few").mkdir()
    for i in range(3):
        for kind in ("wav", "txt"):
            (folder / "few" / f"{i}.{kind}").write_bytes((folder / "data" / f"{i}.{kind}").read_bytes())
    try:
        status = main([{"DATA": "data", "FEW": "few"}.get(a, a) for a in arguments])
    except SystemExit as stopped:  # argparse
        status = stopped.code
    assert status == 2 and said in capsys.readouterr().err.splitlines()[-1]
    assert not Path("x-run").exists()


def test_without_torch_a_training_is_refused_in_a_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["train", "data", "--out", "x"]) == 2
    assert capsys.readouterr().err == "error: this needs torch, which is not installed: pip install 'asr[train]'\n"


@pytest.mark.parametrize(
    "config", ["[stages]\nupdates = 100", "model = 3", "[[model]]\nlayers = 1", "stages = [1]", "stages = 5"]
)
def test_a_table_of_the_wrong_shape_is_one_sentence(tmp_path, config):
    (tmp_path / "c.toml").write_text(config)
    with pytest.raises(Error, match=r"must be (tables \[\[stages\]\]|a table \[model\])"):
        read_config(tmp_path / "c.toml", None)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('[train]\nlearning_rate = "fast"\n[[stages]]\nupdates = 1', "learning_rate must be like 0.001, not 'fast'"),
        ("[model]\nlayers = true\n[[stages]]\nupdates = 1", "layers must be like 4, not True"),
        ("[augment]\nsnr = 5\n[[stages]]\nupdates = 1", "snr must be like"),
    ],
)
def test_a_value_of_another_kind_is_one_sentence(tmp_path, config, said):
    (tmp_path / "c.toml").write_text(config)
    with pytest.raises(Error, match=said):
        read_config(tmp_path / "c.toml", None)
