"""The training loop on tones for letters: it learns, resumes to the bit, fails well."""

import csv
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from asr.attention.joint import JointModel
from asr.audio.features import SAMPLE_RATE, LogMelOptions
from asr.model.checkpoint import ModelOptions
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel, load_network
from asr.search.lexicon import Lexicon
from asr.training import acoustic, config, fit
from asr.training.acoustic import train
from asr.training.augment import Augmenter, AugmentOptions
from asr.training.config import Stage, TrainOptions, learning_rate
from asr.training.data import Audio, Utterance, read_manifest
from asr.training.examples import Examples, RunProgress, measure_mean, pad
from asr.training.fit import TrainingError

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
TONES = {"a": 300, "b": 800, "c": 1_700, "d": 3_400}  # Hz
SENTENCES = ["ab", "cab", "bad cab", "dab", "a bad dad", "add", "cad ab", "b a d"]
LEXICON = Lexicon.parse(["ab AE B", "cab K AE B", "bad B AE D", "dab D AE B", "a AH", "add AE D", "cad K AE D"])
QUIET = AugmentOptions(speed=0, warp=0, room=0, noise=0, colour=0, clip=0, level=(-20, -20), time_masks=0, band_masks=0)
MODEL = ModelOptions(LogMelOptions(n_mels=20), tuple(" abcd"), (), "gru", 1, 32, 4, 0.0)
BY_HEART = (Stage(75), Stage(75, decay=True))


def spoken(text: str) -> np.ndarray:
    """Each letter a tone of 0.1 s with a short gap after it, a space silence."""
    t = np.arange(1_600) / SAMPLE_RATE
    parts = [0.4 * np.sin(2 * np.pi * TONES[c] * t) if c in TONES else 0 * t for c in text]
    return np.concatenate([np.concatenate([p, np.zeros(640)]) for p in parts]).astype(np.float32)


def write_corpus(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rows = []
    for i, text in enumerate(SENTENCES):
        samples = spoken(text)
        soundfile.write(folder / f"{i}.wav", samples, SAMPLE_RATE)
        rows.append({"audio_filepath": f"{i}.wav", "duration": len(samples) / SAMPLE_RATE, "text": text})
    path = folder / "tones.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@dataclass
class Run:
    """All that train() wants, made from nothing but the corpus: as a fresh process would."""

    model: CTCModel
    examples: Examples
    dev: tuple[list[Utterance], Audio]
    options: TrainOptions

    def train(self, folder: Path) -> CTCModel:
        train(self.model, self.examples, self.dev, self.options, folder)
        return self.model


def prepare(manifest: Path, options: TrainOptions, model: ModelOptions = MODEL, augment: AugmentOptions = QUIET) -> Run:
    torch.manual_seed(options.seed)
    utterances, network = read_manifest(manifest), JointModel(model)
    audio = Audio(utterances, manifest.parent / "cache")
    noises = [np.random.default_rng(0).standard_normal(20_000).astype(np.float32)]
    lexicon = LEXICON if model.phonemes else None
    examples = Examples(utterances, audio, Augmenter(augment, noises), network, lexicon, options)
    measure_mean(network, examples, count=8)
    return Run(network, examples, (utterances, audio), options)


def options(updates: int, **changes) -> TrainOptions:
    common = dict(batch_seconds=12, learning_rate=2e-2, warmup=10, chained=0.0, silent=0.0, evaluate_every=updates)
    return TrainOptions((Stage(updates),), **{**common, **changes})


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The model's weights in the last saved state."""
    return {k[6:]: v for k, v in load_file(folder / "state.safetensors").items() if k.startswith("model.")}


def contents(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """All that a file says, to the bit (safetensors writes its metadata in any order)."""
    with safe_open(path, framework="np") as file:
        return file.metadata(), {k: file.get_tensor(k).tobytes() for k in file.keys()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"))


def by_heart(corpus: Path) -> Run:
    settings = options(50, learning_rate=1.5e-2, keep=2)
    return prepare(corpus, replace(settings, stages=BY_HEART))


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory) -> Path:
    """A handful of utterances learnt by heart."""
    folder = tmp_path_factory.mktemp("run")
    by_heart(corpus).train(folder)
    return folder


@pytest.fixture(autouse=True)
def no_curves(trained, monkeypatch):
    """Drawing takes longer than such a run; once, in `trained`, is enough."""
    monkeypatch.setattr(acoustic, "draw_curves", lambda path: None)


# what a run leaves behind


def test_the_loss_falls_and_a_handful_is_learnt_by_heart(trained, corpus):
    logged = rows(trained)
    assert [r["update"] for r in logged] == [50, 100, 150]
    assert logged[-1]["loss"] < 0.1 * logged[0]["loss"] and logged[-1]["dev_loss"] < 0.1 * logged[0]["dev_loss"]
    model, card = load_network(trained / "model.safetensors")
    assert card["dev_wer"] == 0.0 and card["training"]["learning_rate"] == 1.5e-2
    for text in SENTENCES:
        log_probs, _ = model(*pad([model.frontend(spoken(text))]))
        assert model.alphabet.decode(acoustic.collapse(log_probs[0].argmax(-1).tolist())) == text


def test_log_and_curves_can_be_looked_at(trained):
    assert {"loss", "dev_loss", "dev_wer", "learning_rate", "gradient", "audio_per_second"} <= set(rows(trained)[0])
    pytest.importorskip("matplotlib")
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_are_kept_and_averaged(trained):
    best = load_network(trained / "model.safetensors")[1]["averaged"]  # [WER, file] each
    kept = sorted(p.name for p in trained.glob("update-*.safetensors"))
    assert len(best) == 2 and sorted(name for _, name in best) == kept
    assert [wer for wer, _ in best] == pytest.approx(sorted(r["dev_wer"] for r in rows(trained))[:2], rel=1e-4)
    one, two = (load_file(trained / name) for name in kept)
    for name, mean in load_file(trained / "model.safetensors").items():
        torch.testing.assert_close(mean, (one[name] + two[name]) / 2, atol=1e-7, rtol=1e-6)


def test_nothing_half_written_is_left(trained):
    assert not [p for p in trained.iterdir() if p.name.startswith(".")]


def test_started_again_a_finished_run_stays_as_it_is(trained, corpus):
    before, logged = contents(trained / "model.safetensors"), (trained / "log.csv").read_text()
    by_heart(corpus).train(trained)
    assert contents(trained / "model.safetensors") == before and (trained / "log.csv").read_text() == logged


# resuming

RICH = ModelOptions(LogMelOptions(n_mels=20), tuple(" abcd"), LEXICON.phonemes, "gru", 2, 12, 3, 0.2)
STAGES = (Stage(5, streaming=0.5), Stage(5, {"tones": 1.5}, streaming=0.5, decay=True))


def rich(corpus: Path) -> Run:
    """All that is random in a run: augmentation, dropout, latency, drawing, chains, silence, and two heads."""
    settings = options(10, batch_seconds=6, evaluate_every=3, keep=2, chained=0.5, chain_limit=4, silent=0.1)
    return prepare(corpus, replace(settings, stages=STAGES), RICH, AugmentOptions())


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    rich(corpus).train(folder)
    return folder


@pytest.mark.parametrize("fatal_update", [2, 5, 8])
def test_a_killed_run_goes_on_to_the_very_same_weights(corpus, unbroken, tmp_path, monkeypatch, fatal_update):
    run = rich(corpus)
    build, calls = run.examples.build, iter(range(100))

    def until_killed(*arguments):
        if next(calls) == fatal_update:
            raise Killed
        return build(*arguments)

    monkeypatch.setattr(run.examples, "build", until_killed)
    with pytest.raises(Killed):
        run.train(tmp_path)
    assert (tmp_path / "state.safetensors").exists() == (fatal_update >= 3)
    rich(corpus).train(tmp_path)
    for name in ("state.safetensors", "model.safetensors", *(p.name for p in unbroken.glob("update-*"))):
        assert contents(tmp_path / name) == contents(unbroken / name)
    assert [r["update"] for r in rows(tmp_path)] == [3, 6, 9, 10]
    assert [r["audio_hours"] for r in rows(tmp_path)] == [r["audio_hours"] for r in rows(unbroken)]


def test_a_run_killed_while_it_saves(corpus, unbroken, tmp_path, monkeypatch):
    run, save_state, saved = rich(corpus), acoustic.save_state, []

    def killed(*arguments):
        if saved:
            raise Killed
        saved.append(save_state(*arguments))

    monkeypatch.setattr(acoustic, "save_state", killed)
    with pytest.raises(Killed):
        run.train(tmp_path)
    monkeypatch.undo()
    assert [r["update"] for r in rows(tmp_path)] == [3, 6]  # the log is a row ahead of the state
    with (tmp_path / "log.csv").open("a") as file:
        file.write("9,1,0.")
    monkeypatch.setattr(acoustic, "draw_curves", lambda path: None)
    rich(corpus).train(tmp_path)
    assert contents(tmp_path / "model.safetensors") == contents(unbroken / "model.safetensors")
    assert [r["update"] for r in rows(tmp_path)] == [3, 6, 9, 10]


def test_checkpoints_stay_until_a_state_that_drops_them_is_saved(corpus, tmp_path, monkeypatch):
    run = prepare(corpus, options(6, evaluate_every=2, keep=1))
    wers, save_state, saved = iter([0.5, 0.4]), acoustic.save_state, []

    def killed(*arguments):
        if saved:
            raise Killed
        saved.append(save_state(*arguments))

    monkeypatch.setattr(acoustic, "evaluate", lambda *_: (1.0, next(wers)))
    monkeypatch.setattr(acoustic, "save_state", killed)
    with pytest.raises(Killed):
        run.train(tmp_path)
    assert {p.name for p in tmp_path.glob("update-*")} >= {"update-000002.safetensors"}


def test_a_state_without_the_audio_heard_is_gone_on_from(corpus, tmp_path):
    """As written before the hours were kept."""
    prepare(corpus, options(2)).train(tmp_path)
    path = tmp_path / "state.safetensors"
    with safe_open(path, framework="pt") as file:
        progress, tensors = json.loads(file.metadata()["progress"]), {k: file.get_tensor(k) for k in file.keys()}
    assert progress.pop("heard") == pytest.approx(3600 * rows(tmp_path)[0]["audio_hours"], rel=1e-4)
    save_file(tensors, path, {"progress": json.dumps(progress)})
    prepare(corpus, options(4)).train(tmp_path)
    assert [r["update"] for r in rows(tmp_path)] == [2, 4]


def test_another_seed_gives_other_weights(corpus, unbroken, tmp_path):
    run = rich(corpus)
    run.options = replace(run.options, seed=2, stages=(Stage(3),))
    run.train(tmp_path)
    assert not torch.equal(weights(tmp_path)["head.weight"], weights(unbroken)["head.weight"])


# failures


def poisoned(run: Run, monkeypatch, bad: range) -> None:
    build, calls = run.examples.build, iter(range(10_000))

    def poison(*arguments):
        batch = build(*arguments)
        return batch._replace(frames=batch.frames * math.nan) if next(calls) in bad else batch

    monkeypatch.setattr(run.examples, "build", poison)


def test_ten_losses_that_are_no_numbers_stop_the_run(corpus, tmp_path, monkeypatch):
    run = prepare(corpus, options(40, evaluate_every=4))
    poisoned(run, monkeypatch, range(4, 40))
    with pytest.raises(TrainingError, match=r"ten times up to update 13; the last good state is .*state\.safetensors"):
        run.train(tmp_path)
    first = load_file(tmp_path / "update-000004.safetensors")
    for name, value in weights(tmp_path).items():
        assert torch.isfinite(value).all() and torch.equal(value, first[name])  # nothing bad got in
    again = prepare(corpus, options(14, evaluate_every=4))
    again.train(tmp_path)  # with good data it goes on
    assert rows(tmp_path)[-1]["update"] == 14 and not torch.equal(
        weights(tmp_path)["head.weight"], first["head.weight"]
    )


def test_nine_of_them_are_survived(corpus, tmp_path, monkeypatch):
    run = prepare(corpus, options(24, batch_seconds=3))
    poisoned(run, monkeypatch, range(2, 24, 2))  # eleven, but never ten in a row
    run.train(tmp_path)
    assert all(torch.isfinite(v).all() for v in weights(tmp_path).values())


def test_a_weight_that_a_batch_does_not_use_gets_a_gradient_of_0_and_spoils_no_other():
    model = torch.nn.ModuleList([torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)])
    model[1].weight.data.fill_(math.inf)
    model[0](torch.ones(1, 2)).sum().backward()
    fit.average_gradients(model)
    assert model[0].weight.grad.tolist() == [[1.0, 1.0]] and model[1].weight.grad.tolist() == [[0.0, 0.0]]


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def other_program(path: Path) -> None:
    save_file({"a": torch.zeros(1)}, path)


def garbled(path: Path) -> None:
    tensors = load_file(path)
    save_file(tensors, path, {"progress": "{"})


@pytest.mark.parametrize("damage", [shorten, other_program, garbled, lambda path: path.write_bytes(b"")])
def test_a_damaged_state_is_one_sentence(corpus, tmp_path, damage):
    prepare(corpus, options(1)).train(tmp_path)
    damage(tmp_path / "state.safetensors")
    with pytest.raises(TrainingError, match=r"state\.safetensors is damaged .*: remove it to begin anew") as error:
        prepare(corpus, options(2)).train(tmp_path)
    assert "\n" not in str(error.value)


def test_a_state_of_another_model_is_one_sentence(corpus, tmp_path):
    prepare(corpus, options(1)).train(tmp_path)
    says = r"state\.safetensors holds weights of another model: encoder\..* is of the shape \(.*\) in it and of the"
    with pytest.raises(TrainingError, match=says):
        prepare(corpus, options(2), replace(MODEL, hidden=16)).train(tmp_path)
    with pytest.raises(TrainingError, match=r"phoneme_head\.bias is missing in it and of the shape"):
        prepare(corpus, options(2), replace(MODEL, phonemes=LEXICON.phonemes)).train(tmp_path)


@pytest.mark.parametrize("name", ["tpu9", "cuda:99"])
def test_a_device_that_is_not_there_is_one_sentence(corpus, tmp_path, name):
    run = prepare(corpus, options(1))
    with pytest.raises(TrainingError, match=f"no device '{name}' here: say cpu"):
        train(run.model, run.examples, run.dev, run.options, tmp_path, name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_learns_too_and_its_state_goes_on_anywhere(corpus, tmp_path):
    run = prepare(corpus, replace(options(20), stages=(Stage(20), Stage(20, streaming=0.5))), RICH)
    train(run.model, run.examples, run.dev, run.options, tmp_path)
    assert next(run.model.parameters()).device.type == "cuda"
    run = prepare(corpus, options(60), RICH)
    train(run.model, run.examples, run.dev, run.options, tmp_path, "cpu")
    first, *_, last = rows(tmp_path)
    assert last["dev_loss"] < first["dev_loss"]


# the pieces


def test_learning_rate():
    o = TrainOptions((Stage(100), Stage(50, decay=True), Stage(10)), learning_rate=1e-3, warmup=20)
    rate = [learning_rate(u, o) for u in range(160)]
    np.testing.assert_allclose(rate[:20], 1e-3 * np.arange(1, 21) / 20)
    assert rate[20:100] == [1e-3] * 80
    assert rate[100] == 1e-3 and (np.diff(rate[100:150]) < 0).all() and 1e-5 < rate[149] < 4e-5
    assert rate[150:] == [1e-3] * 10
    stages = [config.stage_at(u, o) for u in (0, 99, 100, 149, 150, 159)]
    assert stages == [(0, 0)] * 2 + [(1, 100)] * 2 + [(2, 150)] * 2


def test_a_plateau_halves_the_learning_rate():
    progress = RunProgress()
    scales = []
    for loss in (3.0, 2.0, 2.5, 2.0, 2.1, 1.9, 2.0, 2.0, 2.0, 1.8, 1.8):
        acoustic.adapt(progress, loss, patience=3)
        scales.append(progress.scale)
    assert scales == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25] and progress.lowest == 1.8


def test_random_latency():
    rng = np.random.default_rng(0)
    drawn = [config.random_latency(Stage(1, streaming=0.4), rng) for _ in range(500)]
    chunked = [d for d in drawn if d is not None]
    assert len(chunked) / 500 == pytest.approx(0.4, abs=0.07)
    assert len(set(chunked)) > 4 and all(isinstance(d, Latency) and d.chunk >= 1 and d.ahead >= 1 for d in chunked)
    assert {config.random_latency(Stage(1), rng) for _ in range(50)} == {None}


def test_the_mean_is_that_of_the_augmented_data(corpus):
    run = prepare(corpus, options(1))
    waveform, rng = run.examples.augmenter.waveform, np.random.default_rng(0)
    frames = np.concatenate([run.model.frontend(waveform([run.examples.audio[i]], rng)) for i in range(8)])
    np.testing.assert_allclose(run.model.mean, frames.mean(0), atol=2)
    assert (run.model.deviation > 0.5).all()


def test_epochs(corpus):
    examples = prepare(corpus, options(1, batch_seconds=3)).examples
    one = examples.epoch(3, {})
    assert one == examples.epoch(3, {}) != examples.epoch(4, {}) and len(one) > 1
    assert sorted(i for batch in one for e in batch for i in e) == list(range(8))
    assert sorted(i for batch in examples.epoch(0, {"tones": 2}) for e in batch for i in e) == sorted([*range(8)] * 2)


def test_targets_of_chained_examples(corpus):
    run = prepare(corpus, options(1), RICH)
    frames, lengths, letters, phonemes = run.examples.build([[0, 3], [6], [7]], np.random.default_rng(0))[:4]
    assert [run.model.alphabet.decode(x) for x in letters] == ["ab dab", "cad ab", "b a d"]
    spelt = [[LEXICON.phonemes[p - 1] for p in ps] if ps is not None else None for ps in phonemes]
    assert spelt == [
        ["AE", "B", "D", "AE", "B"],
        ["K", "AE", "D", "AE", "B"],
        None,
    ]  # "b" is not in the lexicon
    assert frames.shape == (3, lengths.max(), 20) and (frames[1, lengths[1] :] == 0).all()


def test_examples_in_which_nothing_is_said(corpus):
    run = prepare(corpus, options(1, silent=1.0), RICH, AugmentOptions())
    frames, lengths, letters, phonemes = run.examples.build([[0], [1]], np.random.default_rng(0))[:4]
    assert letters == phonemes == [[], []] and (lengths >= 100).all()
    assert all(torch.isfinite(x) for x in run.model.losses(frames, lengths, letters, phonemes)[:2])


def test_two_views_of_an_example_differ_and_say_the_same(corpus, tmp_path):
    run = prepare(corpus, options(2, consistency=0.2), RICH, AugmentOptions())
    frames, lengths, letters, phonemes = run.examples.build([[0, 3], [6]], np.random.default_rng(0))[:4]
    assert letters == letters[:2] * 2 and phonemes == phonemes[:2] * 2 and lengths.tolist() == lengths[:2].tolist() * 2
    assert (frames[:2] != frames[2:]).any()
    run.train(tmp_path)
    assert rows(tmp_path)[-1]["between_views"] > 0


def test_an_utterance_longer_than_a_batch(corpus, tmp_path):
    run = prepare(corpus, options(8, batch_seconds=0.1, evaluate_every=4))
    assert [len(b) for b in run.examples.epoch(0, {})] == [1] * 8
    run.train(tmp_path)
    assert math.isfinite(rows(tmp_path)[-1]["loss"])


@pytest.mark.parametrize("kind", ["lstm", "peephole"])
def test_the_other_kinds_train_too(corpus, tmp_path, kind):
    run = prepare(corpus, options(6, evaluate_every=3, batch_seconds=4), replace(MODEL, kind=kind))
    run.options = replace(run.options, stages=(Stage(6, streaming=0.5),))
    run.train(tmp_path)
    first, last = rows(tmp_path)
    assert last["loss"] < first["loss"]


# one process


def test_one_process_joins_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    fit.start_distributed()
    assert not fit.distributed.is_initialized()
