"""A teacher's frames as a second target: the right one at the right time, learnt, and not left in checkpoints."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from test_training import LEXICON, MODEL, QUIET, SENTENCES, Run, options, prepare, rows, write_corpus

from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from asr.training import acoustic
from asr.training.augment import Augmenter, AugmentOptions
from asr.training.data import read_manifest, read_samples
from asr.training.run import Material, train_run
from asr.training.teacher import FRAMES, INDEX, STEP, Placed, Teacher, as_bytes
from recipes.english import teacher as recipe

HOP, CENTRE = 384, 447


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    monkeypatch.setattr(acoustic, "draw_curves", lambda path: None)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"))


def folder_of(place: Path, frames: dict[str, np.ndarray]) -> Path:
    """A teacher's folder, from the frames (T, size) of each utterance."""
    ends = np.cumsum([0, *map(len, frames.values())]).tolist()
    index = {"hop": HOP, "centre": CENTRE, "size": next(iter(frames.values())).shape[1]}
    index["utterances"] = {name: (at, len(f)) for at, (name, f) in zip(ends, frames.items())}
    place.mkdir(exist_ok=True)
    (place / INDEX).write_text(json.dumps(index))
    np.concatenate([as_bytes(f) for f in frames.values()]).tofile(place / FRAMES)
    return place


def clock(seconds: float) -> np.ndarray:
    """Frames that say when they are: (T, 2), the time in seconds since the utterance's first sample, and 1."""
    times = (CENTRE + HOP * np.arange(int(seconds * SAMPLE_RATE / HOP))) / SAMPLE_RATE
    return np.stack([times, np.ones_like(times)], 1).astype(np.float32)


@pytest.mark.parametrize("start, speed", [(0, 1.0), (8_000, 1.0), (3_333, 0.88), (16_000, 1.12)])
def test_a_step_of_the_encoder_is_to_say_what_the_teacher_says_at_that_time(tmp_path, start, speed):
    teacher = Teacher(folder_of(tmp_path, {"a": clock(3.0), "b": -clock(2.0)}))
    found = teacher.targets([Placed("a", start, speed)], 100)
    heard = (640 * np.arange(100) + 3 * 160 + 200) / SAMPLE_RATE  # s: the middle of each step's seven frames
    expected = (heard - start / SAMPLE_RATE) * speed
    known = ~np.isnan(found[:, 0])
    np.testing.assert_allclose(found[known, 0], expected[known], atol=STEP / 2 + 1e-3)
    np.testing.assert_allclose(found[known, 1], 1, atol=1e-6)
    assert (expected[known].min(), expected[known].max()) == pytest.approx((0.03, 2.99), abs=0.07)
    assert np.isnan(found[(expected < -0.03) | (expected > 3.03)]).all()


def test_chained_utterances_and_those_that_are_not_known(tmp_path):
    teacher = Teacher(folder_of(tmp_path, {"a": clock(1.0), "b": -clock(1.0)}))
    found = teacher.targets([Placed("a", 0, 1.0), Placed("unknown", 20_000, 1.0), Placed("b", 40_000, 1.0)], 90)
    assert (found[2:22, 1] == 1).all() and (found[66:84, 1] == -1).all()
    assert np.isnan(found[27:60]).all() and np.isnan(found[88:]).all()
    assert np.isnan(teacher.targets([], 5)).all()  # an example in which nothing is said


def test_where_utterances_stand_is_where_they_are_heard():
    rng, augmenter = np.random.default_rng(3), Augmenter(AugmentOptions(), [])
    click = np.zeros(8_000, np.float32)
    click[4_000] = 1.0
    samples, placed = augmenter.spoken([click, click], rng)
    for start, speed in placed:
        peak = start + 4_000 / speed
        assert abs(start + np.abs(samples[start : start + 7_000]).argmax() - peak) < 30


class Loud:
    """In place of Moonshine: the loudness of 24 ms, twice."""

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        n = max(1, len(samples) // HOP)
        power = np.abs(np.resize(samples, n * HOP)).reshape(n, HOP).mean(1)
        return np.stack([power, 1 + power], 1).astype(np.float32)


def taught(corpus: Path, place: Path, **changes) -> Run:
    run = prepare(corpus, options(40, learning_rate=1e-2, evaluate_every=20, **changes))
    loud = {u.name: Loud()(read_samples(u)) for u in read_manifest(corpus)}
    every = np.concatenate([*loud.values()])
    by_level = {name: (frames - every.mean(0)) / every.std(0) for name, frames in loud.items()}
    run.examples.teacher = Teacher(folder_of(place, by_level))
    run.model.teacher_head = torch.nn.Linear(run.model.encoder.size, 2)
    return run


def test_it_is_learnt_and_only_training_holds_its_head(corpus, tmp_path):
    run = taught(corpus, tmp_path / "teacher", teacher_weight=1.0)
    before = dict(run.model.named_parameters())["teacher_head.weight"].clone()
    run.train(tmp_path / "run")
    first, last = rows(tmp_path / "run")
    assert last["off_teacher"] < 0.8 * first["off_teacher"]
    assert not torch.equal(before, run.model.teacher_head.weight)
    with safe_open(tmp_path / "run/model.safetensors", "np") as file:
        assert not [name for name in file.keys() if name.startswith("teacher")]
    assert "model.teacher_head.weight" in safe_open(tmp_path / "run/state.safetensors", "np").keys()


def test_a_killed_run_comes_to_the_same_weights(corpus, tmp_path):
    whole = taught(corpus, tmp_path / "teacher", chained=0.3).train(tmp_path / "whole").state_dict()
    run = taught(corpus, tmp_path / "teacher", chained=0.3)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    patch = pytest.MonkeyPatch()
    patch.setattr(acoustic, "remove_all_but_best", killed)
    with pytest.raises(KeyboardInterrupt):
        run.train(tmp_path / "halves")
    patch.undo()
    again = taught(corpus, tmp_path / "teacher", chained=0.3).train(tmp_path / "halves").state_dict()
    assert whole.keys() == again.keys() and all(torch.equal(whole[k], again[k]) for k in whole)


def test_batches_of_which_the_teacher_knows_nothing(corpus, tmp_path):
    run = taught(corpus, tmp_path / "teacher", silent=0.5, batch_seconds=1.5)
    for name in list(run.examples.teacher._spans)[2:]:
        del run.examples.teacher._spans[name]
    run.train(tmp_path / "run")
    assert all(np.isfinite(row["off_teacher"]) for row in rows(tmp_path / "run"))


def test_two_views_have_the_targets_twice(corpus, tmp_path):
    run = taught(corpus, tmp_path / "teacher", consistency=0.2)
    targets = run.examples.build([[0], [1, 2]], np.random.default_rng(0)).teacher
    assert targets.shape[0] == 4 and torch.equal(targets[:2].isnan(), targets[2:].isnan())
    torch.testing.assert_close(targets[:2], targets[2:], equal_nan=True)


def test_train_run_with_a_teacher(corpus, tmp_path):
    utterances = read_manifest(corpus)
    teacher = Teacher(folder_of(tmp_path / "teacher", {u.name: clock(u.duration) for u in utterances}))
    model = replace(MODEL, phonemes=LEXICON.phonemes, layers=2, hidden=8, deep_phonemes=True)
    settings = options(4, evaluate_every=2)
    material = Material([utterances], utterances, lexicon=LEXICON, teacher=teacher)
    train_run(material, (model, settings, QUIET), tmp_path / "run")
    assert all(np.isfinite(row["off_teacher"]) for row in rows(tmp_path / "run"))
    again = train_run(material, (model, settings, QUIET), tmp_path / "on", tmp_path / "run/model.safetensors")
    assert again.is_file()


@pytest.mark.parametrize("content", [None, "{", "[]", '{"hop": 384}'])
def test_what_is_no_teacher(tmp_path, content):
    if content is not None:
        (tmp_path / INDEX).write_text(content)
    with pytest.raises(Error, match="holds no frames of a teacher .*recipes.english.teacher"):
        Teacher(tmp_path)


def test_the_recipe_writes_them_and_goes_on(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "Moonshine", Loud)
    lines = corpus.read_text().splitlines(keepends=True)
    part, out = corpus.with_name("part.jsonl"), tmp_path / "teacher"
    part.write_text("".join(lines[:3]))
    for manifest in (part, corpus):
        monkeypatch.setattr(sys, "argv", ["teacher", str(out), str(manifest)])
        recipe.main()
        with (out / FRAMES).open("ab") as file:
            file.write(b"what a killed run left behind its last index")
    index = json.loads((out / INDEX).read_text())
    assert len(index["utterances"]) == len(SENTENCES)
    teacher, mean, deviation = Teacher(out), np.array(index["mean"]), np.array(index["deviation"])
    for u in read_manifest(corpus):
        first, count = index["utterances"][u.name]
        expected = (Loud()(read_samples(u)) - mean) / deviation
        np.testing.assert_array_equal(teacher._frames[first : first + count], as_bytes(expected))
