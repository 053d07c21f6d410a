"""`asr data check`: each thing that can be wrong with a corpus is found, counted and weighed."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli import main

DATA = Path(__file__).parent / "data"
SECOND = np.random.default_rng(0).normal(0, 0.1, 16_000)


@pytest.fixture
def corpus(tmp_path):
    """Writes a manifest; each row: a name, samples or None, a text, and what else is to stand there."""

    def write(*rows, name="train.jsonl", rate=16_000) -> str:
        lines = []
        for file, samples, text, more in rows:
            if samples is not None:
                soundfile.write(tmp_path / file, samples, rate, "FLOAT" if np.isnan(samples).any() else "PCM_16")
            seconds = 1.0 if samples is None else len(samples) / rate
            lines.append({"audio_filepath": file, "duration": seconds, "text": text, "speaker": "ann", **more})
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in lines))
        return str(tmp_path / name)

    return write


def checked(capsys, *arguments: str) -> tuple[int, list[dict]]:
    status = main(["data", "check", "--format", "json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def kinds(report: dict) -> dict[str, int]:
    return {p["kind"]: p["count"] for p in report["problems"]}


def test_the_real_clips_are_in_order(capsys):
    status, [report] = checked(capsys, str(DATA / "clips.jsonl"))
    assert status == 0 and kinds(report) == {} and report["speakers"] == 4
    rows = [json.loads(line) for line in (DATA / "clips.jsonl").read_text().splitlines()]
    assert report["hours"] * 3600 == pytest.approx(sum(r["duration"] for r in rows), abs=0.1)
    assert main(["data", "check", str(DATA / "clips.jsonl")]) == 0
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("samples", "text", "more", "kind", "status"),
    [
        (None, "gone", {}, "missing", 1),
        (SECOND, "a" * 20, {}, "too long", 1),
        (SECOND, "fine", {"duration": 5.0}, "duration", 1),
        (SECOND, "21 apples & ж", {}, "symbols", 0),
        (SECOND, "...", {}, "no text", 0),
        (np.clip(SECOND * 30, -1, 1), "loud", {}, "clipped", 0),
        (SECOND * 1e-4, "soft", {}, "silent", 0),
        (np.tile(SECOND, 41), "long", {}, "long", 0),
        (np.where(np.arange(16_000) == 5_000, np.nan, SECOND), "nan", {}, "not numbers", 1),
    ],
)
def test_each_problem_is_found(corpus, capsys, samples, text, more, kind, status):
    good = ("good.wav", np.tile(SECOND[::-1], 2), "fine, isn't it? naïve - “quoted”", {})
    found, [report] = checked(capsys, corpus(good, ("x.wav", samples, text, more)))
    assert (found, kinds(report)) == (status, {kind: 1})
    [problem] = report["problems"]
    assert problem["where"][0].endswith("x.wav") and problem["breaks"] == bool(status)
    if kind == "symbols":
        assert report["symbols"] == {"2": 1, "1": 1, "&": 1, "ж": 1}


def test_what_is_no_audio_and_telephone_rates(corpus, capsys, tmp_path):
    path = corpus(("x.wav", SECOND[:8000], "a", {}), rate=8_000)
    assert checked(capsys, path)[1][0]["rates"] == {"8000": 1}
    (tmp_path / "x.wav").write_text("no audio")
    status, [report] = checked(capsys, path)
    assert status == 1 and kinds(report) == {"unreadable": 1}


def test_a_wav_without_a_text_beside_it_is_counted_and_the_report_says_what_to_do(tmp_path, capsys):
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", np.roll(SECOND, ord(name)), 16_000)
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    status, [report] = checked(capsys, str(tmp_path))
    assert status == 0 and report["utterances"] == 3 and kinds(report) == {"no text": 1}
    assert report["problems"][0]["where"] == [str(tmp_path / "c.wav")]
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "write the text, or take it out" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg here")
def test_m4a_is_read_where_there_is_ffmpeg_and_else_the_report_names_it(tmp_path, capsys, monkeypatch):
    soundfile.write(tmp_path / "x.wav", SECOND, 16_000)
    command = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "x.wav"), str(tmp_path / "x.m4a")]
    subprocess.run(command, check=True)
    (tmp_path / "x.wav").unlink()
    (tmp_path / "x.txt").write_text("noise")
    assert checked(capsys, str(tmp_path))[1][0]["hours"] * 3600 == pytest.approx(1, abs=0.1)
    monkeypatch.setenv("PATH", "")
    status, [report] = checked(capsys, str(tmp_path))
    assert status == 1 and kinds(report) == {"unreadable": 1}


def test_what_is_in_training_and_test(corpus, capsys, tmp_path):
    train = corpus(("a.wav", SECOND, "one two", {}), ("b.wav", SECOND[::-1], "three", {}), ("c.wav", SECOND, "x", {}))
    shutil.copy(tmp_path / "a.wav", tmp_path / "d.wav")
    test = corpus(("d.wav", None, "other", {"speaker": "bob"}), ("e.wav", SECOND[::2], "three", {}), name="test.jsonl")
    status, [report, tested] = checked(capsys, train, "--test", test)
    assert status == 1 and kinds(report) == {"twice": 1}
    assert kinds(tested) == {"in both": 1, "said in both": 1, "speaker in both": 1}
    assert main(["data", "check", train, "--test", test]) == 1
    shown = capsys.readouterr().out
    assert "breaks" in shown and "d.wav is " in shown


def test_what_cannot_be_read_is_one_sentence(capsys, tmp_path):
    (tmp_path / "broken.jsonl").write_text("{}\n")
    assert main(["data", "check", str(tmp_path / "broken.jsonl")]) == 2
    assert "line 1: not a manifest entry" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
