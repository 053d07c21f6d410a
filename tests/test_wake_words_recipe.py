"""The ear is trained by the acoustic model's loop: what that asks of a model, it has. Thresholds by a manifest."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from loud import Loudness

from asr.training.acoustic import evaluate, losses
from asr.training.config import TrainOptions
from asr.training.data import Utterance
from asr.training.examples import Targeted
from recipes.wake_words import rest, thresholds
from recipes.wake_words.ear import Ear


@pytest.mark.parametrize("phonemes", [[[1, 2], None], [None, None]])
def test_the_loop_trains_an_ear(phonemes):
    ear = Ear(("AH", "K"))
    batch = Targeted(torch.randn(2, 60, 40), torch.tensor([60, 50]), [[2, 3], [4]], phonemes)
    loss, parts = losses(ear, TrainOptions(()), (batch, None))
    loss.backward()
    assert math.isfinite(parts["loss"]) and ear.letters.weight.grad.abs().sum() > 0
    assert math.isfinite(parts["phoneme_loss"]) == (phonemes[0] is not None)


def test_the_loop_evaluates_an_ear():
    clips = [np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32) for n in (9_000, 16_000)]
    utterances = [Utterance(Path("x"), len(c) / 16_000, "ab", "corpus", "ann") for c in clips]
    loss, wer = evaluate(Ear(("AH", "K")), utterances, clips)
    assert math.isfinite(loss) and 0 <= wer


def test_thresholds_are_counted_over_a_manifest(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(32_000, 0.5), 16_000)
    row = {"audio_filepath": "a.wav", "duration": 2, "text": "a line\u2028ends"}
    (tmp_path / "speech.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    found = thresholds.events({"a": Loudness(), "b": Loudness(card={"phrase": "line"})}, tmp_path / "speech.jsonl")
    peaks, hours = found["a"]
    assert found["b"][1] == 0  # its phrase is said there
    assert hours == pytest.approx(2.5 / 3600) and peaks.max() == pytest.approx(0.5, abs=0.01)


def test_a_manifest_that_is_missing_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["thresholds", str(tmp_path / "none.jsonl"), "computer"])
    with pytest.raises(SystemExit, match="thresholds: .*none.jsonl: no such manifest"):
        thresholds.main()


def test_speakers_of_more_speech_are_apart_or_taught(tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "SETS", ("minds14", "robotutor"))
    row = {
        "audio_filepath": "a.flac",
        "text": "two words",
        "text_from": "corpus",
        "split": "train",
        "corpus": "minds14",
    }
    callers = [row | {"speaker": f"caller {i}"} for i in range(40)]
    bad = [row | {"text": ""}, row | {"split": "doubtful"}, row | {"text_from": "none"}]
    words = [row | {"corpus": "robotutor"}, row | {"corpus": "robotutor", "text": "word"}]
    for name, rows in (("minds14", callers + bad), ("robotutor", words)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = rest.with_more({"more": [row | {"speaker": "old"}], "test": []}, tmp_path)
    speakers = [{r["speaker"] for r in found[name]} for name in ("taught", "apart")]
    assert not speakers[0] & speakers[1] and len(speakers[0] | speakers[1]) == 42 and 3 < len(speakers[1]) < 20
    assert [r["corpus"] for r in found["taught"][-2:]] == ["robotutor", "robotutor-words"]
    assert len(found["taught"]) + len(found["apart"]) == 1 + 40 + 2
