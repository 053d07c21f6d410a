"""A kill at a random moment; `python tests/kills.py` does more of them. Training's are in test_training.py."""

import random

import kills
import pytest

SERVER = ("starlette", "uvicorn", "websockets", "wyoming", "prometheus_client", "python_multipart")


@pytest.mark.parametrize("kind", ["transcribing", "serving"])
def test_nothing_is_lost(kind, tmp_path):
    for package in SERVER if kind == "serving" else ():
        pytest.importorskip(package, reason="needs the extra `serve`")
    kills.KINDS[kind](tmp_path, 1, random.Random(0))


def test_a_result_that_differs_is_told(tmp_path, monkeypatch):
    def run(command, seconds=None):
        """A command that writes half a result when it is killed."""
        folder = tmp_path / ("whole" if command[-1].endswith("whole") else "out")
        folder.mkdir(exist_ok=True)
        (folder / "0.json").write_text('{"text": ' if seconds else '{"text": ""}')
        return 1.0

    monkeypatch.setattr(kills, "run", run)
    with pytest.raises(kills.Broken, match="0.json"):
        kills.transcribing(tmp_path, 1, random.Random(0))
