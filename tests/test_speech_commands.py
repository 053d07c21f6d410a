"""The keyword task: the corpus as it is unpacked, a tiny model that learns it, a training that goes on, its use."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from asr.audio.features import SAMPLE_RATE
from asr.model.checkpoint import CheckpointError
from recipes.speech_commands import corpus, miniature, train, training
from recipes.speech_commands.corpus import COMMANDS, SILENCE, UNKNOWN, CorpusError, read
from recipes.speech_commands.model import CLIP, KeywordModel, load, one_second, save
from recipes.speech_commands.training import Examples, KeywordTraining, classify
from wakeword.train import TriggerOptions
from wakeword.voices import Flite

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent
TINY = TriggerOptions(layers=1, hidden=24, channels=16, n_mels=20, dropout=0.0)
WORDS = [*COMMANDS, "bird", "cat"]


def tone(number: int, rng: np.random.Generator) -> np.ndarray:
    """A word: a tone of its own pitch, somewhere in the second."""
    x = rng.normal(0, 1e-3, CLIP)
    start = rng.integers(0, CLIP // 2)
    x[start : start + 6000] += 0.3 * np.sin(2 * np.pi * (200 * 1.3**number) * np.arange(6000) / SAMPLE_RATE)
    return x.astype(np.float32)


def write(folder: Path, words: list[str], each: int = 8) -> Path:
    rng, lists = np.random.default_rng(0), {"validation": [], "testing": []}
    for number, word in enumerate(words):
        (folder / word).mkdir(parents=True)
        for i in range(each):
            name = f"{word}/{i:08x}_nohash_0.wav"
            soundfile.write(folder / name, tone(number, rng), SAMPLE_RATE)
            if i < 4:
                lists["validation" if i % 2 else "testing"].append(name)
    for part, names in lists.items():
        (folder / corpus.LISTS[part]).write_text("\n".join(names) + "\n")
    (folder / corpus.BACKGROUND).mkdir()
    soundfile.write(folder / corpus.BACKGROUND / "hiss.wav", rng.normal(0, 0.05, 3 * CLIP), SAMPLE_RATE)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("corpus") / "sc", WORDS)


# the corpus


def test_all_words_are_classes_and_nobody_is_in_two_parts(folder):
    found = read(folder, 35)
    assert found.classes == tuple(sorted(WORDS)) and len(found.backgrounds) == 1
    assert [len(found.parts[part]) for part in ("training", "validation", "testing")] == [48, 24, 24]
    speakers = {part: {clip.speaker for clip in clips} for part, clips in found.parts.items()}
    assert speakers["testing"] == {"00000000", "00000002"} and not speakers["testing"] & speakers["training"]
    assert found.parts["testing"][0].samples().shape == (CLIP,)


def test_twelve_classes_with_a_tenth_of_silence_and_of_other_words(folder):
    found = read(folder, 12)
    assert found.classes == (*COMMANDS, SILENCE, UNKNOWN)
    for clips in found.parts.values():
        known = sum(clip.label in COMMANDS for clip in clips)
        labels = [clip.label for clip in clips]
        assert labels.count(SILENCE) == labels.count(UNKNOWN) == round(known / 10) > 0
        unknown = {clip.path.parent.name for clip in clips if clip.label == UNKNOWN}
        assert unknown <= {"bird", "cat"} and {c.label for c in clips} == set(found.classes)
    assert read(folder, 12).parts == found.parts != read(folder, 12, seed=2).parts
    quiet = next(clip for clip in found.parts["training"] if clip.label == SILENCE)
    assert quiet.samples().shape == (CLIP,) and 0 <= quiet.volume <= 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "testing_list.txt").unlink(), "testing_list.txt: No such file"),
        (lambda f: (f / "yes" / "00000000_nohash_0.wav").unlink(), "1 clips of the lists are missing in .* yes/00"),
        (lambda f: (f / "testing_list.txt").write_text(""), "has no clips for testing"),
        (lambda f: (f / "yes").rename(f / "yeah"), "is not Speech Commands"),
    ],
)
def test_a_folder_that_is_not_the_corpus_is_one_sentence(tmp_path, spoil, said):
    spoil(write(tmp_path / "sc", WORDS, 4))
    with pytest.raises(CorpusError, match=said):
        read(tmp_path / "sc", 12)


def test_a_clip_that_is_no_audio_or_of_another_rate(folder, tmp_path):
    clip = read(folder, 35).parts["training"][0]
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(CorpusError, match="cannot read .*a.wav"):
        replace(clip, path=tmp_path / "a.wav").samples()
    soundfile.write(tmp_path / "b.wav", np.zeros(100), 8000)
    with pytest.raises(CorpusError, match="one channel at 16000 Hz"):
        replace(clip, path=tmp_path / "b.wav").samples()
    soundfile.write(tmp_path / "c.wav", np.full(100, 0.5), SAMPLE_RATE)
    samples = replace(clip, path=tmp_path / "c.wav").samples()
    assert len(samples) == CLIP and samples[99] > 0.4 and not samples[100:].any()


@pytest.mark.skipif(not Flite.installed(), reason="flite is not installed")
def test_the_miniature_has_the_layout_of_the_corpus(tmp_path):
    miniature.write(tmp_path, 25, ("flite",))
    found = read(tmp_path, 35)
    clips = [clip for part in found.parts.values() for clip in part]
    assert 20 <= len(clips) <= 25 and all(clip.samples().any() for clip in clips) and found.backgrounds
    speakers = {part: {clip.speaker for clip in some} for part, some in found.parts.items()}
    assert not speakers["training"] & (speakers["validation"] | speakers["testing"])


# the model and its training


def fresh(folder: Path) -> tuple[KeywordModel, corpus.Corpus]:
    torch.manual_seed(0)
    found = read(folder, 35)
    model = KeywordModel(found.classes, TINY)
    training.measure_bands(model, found.parts["training"], SETTINGS)
    return model, found


SETTINGS = KeywordTraining(
    epochs=8,
    batch=4,
    learning_rate=2e-2,
    warmup=5,
    sound=replace(KeywordTraining.sound, speed=0.02, warp=0.02, room=0, colour=0, noise=0.2, snr=(20, 40)),
)


def trained(folder: Path, out: Path, **changes) -> tuple[KeywordModel, list[str]]:
    model, found = fresh(folder)
    lines: list[str] = []
    training.train(model, found.parts, found.backgrounds, replace(SETTINGS, **changes), out, lines.append)
    return model, lines


@pytest.fixture(scope="module")
def learnt(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("learnt")
    model, _ = trained(folder, out)
    save(model, out / "keywords.safetensors", {"about": "tones"})
    return out


def test_tones_are_learnt(folder, learnt):
    clips = read(folder, 35).parts["testing"]
    model = load(learnt / "keywords.safetensors").model
    heard = classify(model, clips)
    assert np.mean([h == c.label for h, c in zip(heard, clips)]) > 0.8  # by chance: 0.08


def test_a_stopped_training_goes_on_to_the_very_same_weights(folder, learnt, tmp_path, monkeypatch):
    calls = iter(range(100))

    def until_killed(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return classify(*arguments)

    monkeypatch.setattr(training, "classify", until_killed)
    with pytest.raises(KeyboardInterrupt):
        trained(folder, tmp_path)
    monkeypatch.undo()
    model, lines = trained(folder, tmp_path)
    assert lines[0] == "going on after epoch 3" and len(lines) == 6
    one, two = (load_file(out / training.STATE) for out in (learnt, tmp_path))
    assert all(torch.equal(one[k], two[k]) for k in one | two)


def test_examples_differ_from_epoch_to_epoch_and_are_the_same_when_asked_again(folder):
    model, found = fresh(folder)
    clips = found.parts["training"]
    first, again, other = (Examples(clips, model, found.backgrounds, SETTINGS, epoch) for epoch in (1, 1, 2))
    assert np.array_equal(first[5][0], again[5][0]) and first[5][1] == again[5][1]
    assert sorted(first[i][1] for i in range(48)) == sorted(other[i][1] for i in range(48))
    assert not np.array_equal(first[5][0], other[5][0]) and first[5][0].shape == other[5][0].shape


# its use


def test_a_classifier_is_rebuilt_from_its_file(folder, learnt):
    classifier = load(learnt / "keywords.safetensors")
    assert classifier.card == {"about": "tones"} and classifier.model.options == TINY
    answers = classifier(tone(3, np.random.default_rng(9)))
    assert answers[0][0] == WORDS[3] and sum(p for _, p in answers) == pytest.approx(1, abs=1e-5)
    assert len(classifier(np.zeros(0, np.float32))) == len(WORDS)


def test_what_is_no_classifier_is_one_sentence(tmp_path, learnt):
    with pytest.raises(CheckpointError, match="is no keyword classifier of this toolkit"):
        load(ROOT / "asr/models/vad.safetensors")
    data = (learnt / "keywords.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:-50])
    with pytest.raises(CheckpointError, match="is damaged"):
        load(tmp_path / "cut.safetensors")


@settings(deadline=None)
@given(before=st.integers(0, 3 * CLIP), after=st.integers(0, 3 * CLIP))
def test_the_loudest_second_of_a_clip_of_any_length(before, after):
    x = np.concatenate([np.zeros(before), np.ones(CLIP // 2), np.zeros(after)]).astype(np.float32)
    second = one_second(x)
    assert second.shape == (CLIP,) and second.sum() == CLIP // 2


def test_the_recipe_from_folder_to_report_and_a_file_to_its_word(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(KeywordModel.__init__, "__defaults__", (TINY,))
    monkeypatch.setattr(sys, "argv", ["train", str(folder), str(tmp_path), "--epochs", "1", "--processes", "1"])
    train.main()
    shown = capsys.readouterr().out
    assert "% right (" in shown and "of 24 clips of the test set" in shown
    command = [sys.executable, "-m", "recipes.speech_commands.classify", tmp_path / "keywords.safetensors"]
    given = [folder / "yes/00000005_nohash_0.wav", folder / "testing_list.txt"]
    done = subprocess.run([*command, *given], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stdout.split("\t")[1] in (*COMMANDS, SILENCE, UNKNOWN)
    assert "testing_list.txt is not audio" in done.stderr and done.stderr.count("\n") == 1


def test_accuracy_and_confusions():
    clips = [corpus.Clip(Path("x"), label, speaker) for label, speaker in (("yes", "a"), ("no", "a"), ("no", "b"))]
    report = train.scores(clips, ["yes", "go", "no"])
    assert report["accuracy %"] == 66.67 and report["confusions"] == [["no", "go", 1]] and report["speakers"] == 2
    assert report["95 %"][0] <= 66.67 <= report["95 %"][1]
