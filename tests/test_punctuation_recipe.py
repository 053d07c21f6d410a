"""The recipe of marks and capitals: a training that goes on from a packaged tagger."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
from asr.written.tagger import COMMA, LOWER, NONE, PERIOD, Vocabulary, load  # noqa: E402
from recipes.punctuation import train  # noqa: E402
from recipes.punctuation.batches import SHARES  # noqa: E402
from recipes.punctuation.network import TaggerNetwork, TaggerOptions  # noqa: E402


def test_a_training_goes_on_from_a_packaged_tagger(tmp_path, monkeypatch):
    words = "well we met in june and left".split()
    (tmp_path / "words.txt").write_text("".join(f"{word}\n" for word in words))
    (tmp_path / "mixed.json").write_text(json.dumps({"github": {"GitHub": 9}}))
    word = np.tile(np.arange(7), 20)
    mark = np.where(word == 0, COMMA, np.where(word == 6, PERIOD, NONE))
    columns = {"word": word, "mark": mark, "case": np.full(140, LOWER), "opens": word == 0, "begins": np.array([0, 70])}
    for name in SHARES:
        for part in ("train", "dev"):
            np.savez(tmp_path / f"{name}.{part}.npz", **columns)
    options, out = TaggerOptions(8, 50, 12, 6, 10), tmp_path / "new.safetensors"
    older, vocabulary = tmp_path / "older.safetensors", Vocabulary(words[:3], 50)
    train.package(TaggerNetwork(options, 3), vocabulary, {"iphone": "iPhone"}, {"updates": 7}, older)

    def run(updates):
        arguments = f"{tmp_path} --run {tmp_path}/run --start-from {older} --seed 2 --updates {updates} --output {out}"
        monkeypatch.setattr(sys, "argv", ["train", *arguments.split()])
        train.main()
        return train.unpacked(out)

    run(1)
    model, found, mixed, card = run(2)
    log = (tmp_path / "run" / "log-2.csv").read_text()
    assert log.splitlines()[0].startswith("update,loss,marks") and len(log.splitlines()) == 2, "it went on"
    assert found.words == words[:3] and mixed == {"iphone": "iPhone", "github": "GitHub"} == load(out).mixed
    assert card["start"] == {"updates": 7} and card["updates"] == 2 and model.options == options
