"""The command `asr align`: its table and formats, what it says and with which exit status."""

import io
import json
import sys
from pathlib import Path

import pytest

from asr.cli import main

DATA = Path(__file__).parent / "data"
CLIP = str(DATA / "names.opus")
TEXT = "The names were displayed —\nin a different font."


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def typed(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_table_of_words(text, capsys):
    assert main(["align", CLIP, text]) == 0
    head, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert head == ["start", "end", "confidence", "word"]
    assert [row[3] for row in rows] == ["The", "names", "were", "displayed", "in", "a", "different", "font."]
    times = [float(x) for row in rows for x in row[:2]]
    assert times == sorted(times) and 0.7 < times[0] < 1.0 and 3.1 < times[-1] < 3.5


def test_formats(text, capsys):
    assert main(["align", CLIP, text, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == "The names were displayed in a different font." and "warning" not in found
    assert main(["align", CLIP, text, "--format", "textgrid"]) == 0
    assert 'text = "font."' in capsys.readouterr().out


def test_a_text_that_was_never_said(monkeypatch, capsys):
    typed(monkeypatch, b"my uncle keeps yellow parrots and an old dog")
    assert main(["align", CLIP, "-"]) == 1
    told = capsys.readouterr()
    assert "does not seem to be what is said" in told.err
    assert max(float(line.split("\t")[2]) for line in told.out.splitlines()[1:]) < 0.6


def test_a_few_words_that_were_not_said(monkeypatch, capsys):
    typed(monkeypatch, b"Produced the block books, which were the hippopotamus kindergarten of the true printed book.")
    assert main(["align", str(DATA / "printed-book.opus"), "-"]) == 0
    assert "words may not have been said" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "no words"), (b"20 names", '"20" in line 1'), (b"caf\xe9", "is not UTF-8 text")]
)
def test_bad_texts(monkeypatch, capsys, content, says):
    typed(monkeypatch, content)
    assert main(["align", CLIP, "-"]) == 2
    assert says in capsys.readouterr().err


def test_bad_starts(text, tmp_path, capsys):
    assert main(["align", CLIP, str(tmp_path / "none.txt")]) == 2
    assert main(["align", "-", "-"]) == 2
    assert main(["align", CLIP, text, "--model", str(tmp_path / "none.safetensors")]) == 2
    assert capsys.readouterr().err.count("error: ") == 3


def test_bad_audio(text, tmp_path, capsys):
    assert main(["align", str(tmp_path / "none.wav"), text]) == 1
    assert main(["align", text, text]) == 1
    assert capsys.readouterr().err.count("error: ") == 2
