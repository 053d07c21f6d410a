"""recipes/trigger_word: a detector for each span, trained once, each with and without its phonemes."""

import csv

import numpy as np
import soundfile
from loud import OPTIONS, loud_model, stream

from asr.audio.features import LogMelOptions
from asr.model.checkpoint import ModelOptions
from asr.model.network.ctc import CTCModel, save_model
from recipes.trigger_word import spans
from wakeword.phonemes import FusionOptions, PhonemeModel
from wakeword.train.training import save_detector


def test_each_span_is_trained_once_and_measured_with_both(tmp_path, monkeypatch, capsys):
    trained = []

    def build(phrase, path, options, report):
        trained.append(options.train.span)
        fusion = {"fusion": FusionOptions((("B", "UW", "M"),)).asdict()} if len(trained) == 1 else {}
        save_detector(loud_model(), path, {"phrase": phrase} | fusion, OPTIONS)

    untrained = CTCModel(
        ModelOptions(LogMelOptions(n_mels=8), phonemes=("B", "M", "UW"), layers=1, hidden=4, channels=2)
    )
    save_model(untrained, tmp_path / "phonemes.safetensors", {})
    phonemes = PhonemeModel(tmp_path / "phonemes.safetensors")
    monkeypatch.setattr(PhonemeModel, "load", lambda: phonemes)
    monkeypatch.setattr(spans, "build", build)
    monkeypatch.setattr(spans, "SPANS", (0.04, 0.36))
    for folder, sound in (("said", stream()[: 3 * 16_000]), ("other", np.zeros(60 * 16_000, np.float32))):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "clip.wav", sound, 16_000)
    places = [f"--{name}={tmp_path / folder}" for name, folder in (("positives", "said"), ("negatives", "other"))]
    monkeypatch.setattr("sys.argv", ["spans", str(tmp_path / "out"), "--phrase=boom", *places, "--updates=3"])
    for _ in range(2):  # the second time takes the detectors that are there
        spans.main()
    assert trained == [0.04, 0.36] and "| 0.36 | no | 0.5 | clean | 0 (" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "spans.csv").open()))
    assert {(row["span s"], row["phonemes"]) for row in rows} == {("0.04", "no"), ("0.04", "yes"), ("0.36", "no")}
