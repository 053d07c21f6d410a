"""From a phrase to a detector, with a voice made of tones: the file, stops on the way, the user's own recordings."""

import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from asr.audio.features import SAMPLE_RATE
from asr.training.fit import Plan, Progress, fit
from wakeword import synthesis, voices
from wakeword.detector import load
from wakeword.phrase import slug
from wakeword.train import TriggerModel, TriggerOptions, negatives
from wakeword.train import build as module
from wakeword.train.build import BuildOptions, build
from wakeword.train.examples import Mixer, MixOptions
from wakeword.train.negatives import Clip
from wakeword.train.training import CarriedLoss, Examples, TrainOptions, threads, views

MODEL = TriggerOptions(hidden=16, channels=16, dropout=0.0)
MIX = MixOptions(seconds=2.0, room=0, colour=0, noise=0.2, talker=0, babble=0, pause=0.2)
TRAIN = TrainOptions(
    updates=90, batch=8, evaluate_every=30, warmup=5, learning_rate=5e-3, rate=3.0, processes=1, mix=MIX
)
BUILT = replace(TRAIN, batch=16)  # by eight at a time the loss is too much a matter of chance to be compared
OPTIONS = BuildOptions(("flite",), clips=40, near_misses=20, sentences=10, held_out=20, model=MODEL, train=BUILT)


def tones(*hz: float) -> np.ndarray:
    t = np.arange(int(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    return np.concatenate([np.sin(2 * np.pi * f * t) for f in hz]).astype(np.float32)


class Whistler(voices.Voice):
    """The phrase is a low and then a high tone; anything else is not."""

    name, how_to_get, speed = "flite", "nowhere", "fast"

    @classmethod
    def installed(cls) -> bool:
        return True

    def speak(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        said = "tick tock" in text.lower()
        low, high = 500 * rng.uniform(0.9, 1.1), 2500 * rng.uniform(0.9, 1.1)
        return tones(low, high) if said else tones(high, high), f"flite-{rng.choice(list('abcdefghijkl'))}"


def speech(split: str) -> list[Clip]:
    rng = np.random.default_rng(split == "train")
    talk = [Clip(tones(*rng.uniform(300, 3000, 20)), "something else", "c", "s") for _ in range(60)]
    talk.append(Clip(tones(*[500, 2500] * 10), "the clock says tick tock", "c", "s"))
    return [*talk, Clip(rng.standard_normal(48_000).astype(np.float32) * 0.01, "", "noise", "n")]


@pytest.fixture(autouse=True)
def whistler(monkeypatch):
    monkeypatch.setattr(synthesis, "VOICES", (Whistler,))
    monkeypatch.setattr(voices, "VOICES", (Whistler,))
    monkeypatch.setattr(synthesis, "_engines", {})
    monkeypatch.setattr(negatives, "read", speech)
    monkeypatch.setattr(module, "said_anew", lambda clips, *_: list(clips))  # takes as long as all else


def test_a_phrase_becomes_a_detector(tmp_path):
    said = []
    measured = build("Tick, tock!", tmp_path / "clock.safetensors", OPTIONS, said.append)
    detector = load(tmp_path / "clock.safetensors")
    assert detector.phrase == "tick tock"
    assert set(detector.card["thresholds"]) == {"0.1", "0.5", "1", "3"}
    assert detector.options.threshold == measured.thresholds[3.0]
    assert detector.card["clips"]["phrase"] == 40 and detector.card["voices"] == ["flite"]
    assert any("min left" in line for line in said)
    assert (
        any("without phonemes" in line for line in said) and detector.phonemes is None
    )  # no phoneme is in these tones
    losses = [float(re.search(r"loss ([\d.]+)", line)[1]) for line in said if line.startswith("update")]
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_a_stop_in_the_middle_of_training_loses_nothing(tmp_path):
    build("tick tock", tmp_path / "a.safetensors", OPTIONS, lambda line: None)

    def stop(line: str) -> None:
        if line.startswith("update 60"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("tick tock", tmp_path / "b" / "b.safetensors", OPTIONS, stop)
    assert not (tmp_path / "b" / "b.safetensors").exists()
    said = []
    build("tick tock", tmp_path / "b" / "b.safetensors", OPTIONS, said.append)
    assert "going on after update 60" in said
    x = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    one, other = load(tmp_path / "a.safetensors"), load(tmp_path / "b" / "b.safetensors")
    assert np.array_equal(one.scores(x, one.start())[0], other.scores(x, other.start())[0])


def test_progress_is_told_whatever_the_counts():
    said = []
    progress = module._clock(1600, said.append)
    for count in (1333, 1358, 1383, 1408, 1433, 1508, 1600):
        progress(count)
    assert [line.split()[1] for line in said] == ["1408", "1508", "1600"]


@pytest.mark.parametrize("kind", ["gru", "lstm", "peephole"])
def test_every_kind_learns_with_several_processes_and_leaves_torch_its_threads(kind, monkeypatch):
    sounds = module._sounds(speech("train"), [], [], False, 1)
    sounds = replace(sounds, positives=[tones(500, 2500)])
    model, every_thread = TriggerModel(replace(MODEL, kind=kind, hidden=4)), torch.get_num_threads()
    examples = Examples(Mixer(sounds, MIX), model.options, replace(TRAIN, processes=2), 0, 24)
    before, optimizer = model.output.weight.clone(), torch.optim.AdamW(model.parameters())

    def learn() -> float:
        batches = ((batch, number == 0) for number, batch in enumerate(views(examples, replace(TRAIN, processes=2))))
        with threads(1):
            [means] = fit(model, optimizer, batches, CarriedLoss(model), Plan(3, 3, lambda _: 1e-3), Progress())
        return means["loss"]

    assert 0 < learn() < 5 and not torch.equal(before, model.output.weight)
    frames, targets, _ = examples[0]
    assert len(frames) == 2 and not np.array_equal(*frames), "two microphones hear a mix differently"
    assert len(targets) == (frames.shape[1] - model.options.kernel) // model.options.stride + 1
    monkeypatch.setattr(Examples, "__getitem__", None)
    with pytest.raises(TypeError):
        learn()
    assert torch.get_num_threads() == every_thread


def test_a_stop_in_the_middle_of_speaking(tmp_path):
    job = synthesis.Job(tmp_path / "job", ("tick tock",), 60, ("flite",), 1)

    def stop(count: int) -> None:
        if count == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesis.speak([job], 1, stop)
    counts = []
    clips, whole = synthesis.speak([job, replace(job, folder=tmp_path / "other")], 1, counts.append)
    assert counts == [60, 85, 110, 120] and len(clips) == len(whole) == 60
    assert all(np.array_equal(a.samples, b.samples) and a.speaker == b.speaker for a, b in zip(clips, whole))


def test_clips_of_other_voices_and_texts_are_other_clips(tmp_path):
    job = synthesis.Job(tmp_path, ("tick tock",), 30, ("flite",), 1)
    [first] = synthesis.speak([job], 1, lambda _: None)
    [again] = synthesis.speak([replace(job, count=10)], 1, lambda _: pytest.fail("spoke"))
    assert [c.speaker for c in again] == [c.speaker for c in first[:10]]
    for other in (replace(job, seed=2), replace(job, texts=("tick tock.",))):
        [clips] = synthesis.speak([other], 1, lambda _: None)
        assert [(c.speaker, c.text) for c in clips] != [(c.speaker, c.text) for c in first]


def test_a_text_that_a_program_stumbles_over_is_left_out(tmp_path, monkeypatch):
    def stumbles(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        if rng.random() < 0.5:
            raise subprocess.CalledProcessError(1, "flite")
        return tones(500, 2500), "flite-slt"

    monkeypatch.setattr(Whistler, "speak", stumbles)
    [clips] = synthesis.speak([synthesis.Job(tmp_path, ("tick tock",), 40, ("flite",), 1)], 1, lambda _: None)
    assert 5 < len(clips) < 35


def test_where_no_speaker_can_be_held_out_clips_are():
    def spoken(*speakers: str) -> list[synthesis.Spoken]:
        return [synthesis.Spoken(np.full(1, i), "", speaker) for i, speaker in enumerate(speakers)]

    for speaker in ("flite-rms-1.00", "festival-kal_diphone"):  # always learnt from; always held out
        learnt, held = (module._apart(spoken(*[speaker] * 30), held) for held in (False, True))
        assert (len(learnt), len(held)) == (25, 5)
    both = spoken("flite-rms-1.00", "festival-kal_diphone", "flite-rms-1.00")
    assert [clip[0] for clip in module._apart(both, True)] == [1] and len(module._apart(both, False)) == 2


def test_too_few_clips_are_told_before_training(tmp_path):
    with pytest.raises(voices.VoiceError, match="only 1 clips of the phrase were spoken: give more --clips"):
        build("tick tock", tmp_path / "x.safetensors", replace(OPTIONS, clips=1), print)


def test_a_training_goes_on_from_its_own_state_only(tmp_path):
    def stop(line: str) -> None:
        if line.startswith("update 30"):
            raise KeyboardInterrupt

    soundfile.write(tmp_path / "radio.wav", tones(*[1000, 700] * 10), SAMPLE_RATE)
    path, said = tmp_path / "x.safetensors", []
    with pytest.raises(KeyboardInterrupt):
        build("tick tock", path, replace(OPTIONS, negatives=(tmp_path / "radio.wav",)), stop)
    build("tick tock", path, replace(OPTIONS, train=replace(TRAIN, updates=60)), said.append)
    assert not any("going on" in line for line in said) and path.exists()
    assert not [*(tmp_path / ".tick-tock.training").glob("*.safetensors")]


def test_voices_are_held_out_by_speaker():
    clips = [synthesis.Spoken(np.zeros(1), "", f"kokoro-af_{name}:0.50+am_adam:0.50") for name in map(str, range(300))]
    held = {c.speaker for c in clips if c.held_out}
    assert 20 < len(held) < 100
    same = [synthesis.Spoken(np.zeros(1), "", f"flite-slt-{bend:.2f}").held_out for bend in (0.9, 1.0, 1.1)]
    assert len(set(same)) == 1


def test_own_recordings_join_in(tmp_path):
    for i, folder in enumerate(("said", "said", "other")):
        (tmp_path / folder).mkdir(exist_ok=True)
        soundfile.write(tmp_path / folder / f"{i}.wav", tones(500, 2500), SAMPLE_RATE)
    (tmp_path / "said" / "broken.wav").write_text("no audio")
    said = []
    options = replace(OPTIONS, positives=(tmp_path / "said",), negatives=(tmp_path / "other",))
    build("tick tock", tmp_path / "x.safetensors", replace(options, train=replace(TRAIN, updates=30)), said.append)
    card = load(tmp_path / "x.safetensors").card
    assert card["clips"]["own"] == 2 and card["clips"]["own negatives"] == 1
    assert any("broken.wav" in line for line in said)


def test_folders_without_a_usable_recording_stop_it_before_anything_is_spoken(tmp_path, monkeypatch):
    (tmp_path / "silent").mkdir()
    soundfile.write(tmp_path / "silent" / "a.wav", np.zeros(16_000), SAMPLE_RATE)
    monkeypatch.setattr(module, "speak", lambda *_: pytest.fail("spoke"))
    with pytest.raises(negatives.NegativesError, match="nothing in .*silent can be used"):
        build("tick tock", tmp_path / "x.safetensors", replace(OPTIONS, positives=(tmp_path / "silent",)), print)


@pytest.mark.parametrize("phrase, name", [("Hey, Computer!", "hey-computer"), ("what's up", "what's-up")])
def test_file_names(phrase, name):
    assert slug(phrase) == name
