"""The command `asr transcribe` as scripts use it: output, messages, exit status."""

import argparse
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.vad import SpeechDetector
from asr.cli import main
from asr.commands import transcribe
from asr.commands.terminal import Bar
from asr.errors import UsageError
from asr.model.onnx import load_model
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.hotwords import Hotword
from asr.text import normalise

DATA = Path(__file__).parent / "data"
CLIPS = [DATA / json.loads(line)["audio_filepath"] for line in (DATA / "clips.jsonl").open()]


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    try:
        status = main(["transcribe", "--threads", "1", *map(str, arguments)])
    except SystemExit as stopped:  # argparse
        status = stopped.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_text_goes_to_standard_output_and_the_summary_does_not(capsys):
    status, out, err = run(capsys, CLIPS[0])
    assert status == 0 and out.strip() and "1 file" in err and "1 file" not in out


def test_json_is_one_object_a_line_in_the_order_given(capsys):
    status, out, _ = run(capsys, "--format", "json", *CLIPS[::-1])
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [r["file"] for r in rows] == [str(c) for c in CLIPS[::-1]]
    segment = rows[0]["segments"][0]
    assert {"file", "text", "duration", "segments"} <= set(rows[0])
    assert {"start", "end", "text", "confidence", "words"} <= set(segment)
    assert {"start", "end", "text", "confidence"} <= set(segment["words"][0])


def test_n_best_lists_in_json(capsys):
    status, out, _ = run(capsys, "--format", "json", "--n-best", 3, CLIPS[0])
    (segment,) = json.loads(out)["segments"]
    texts = [segment["spoken"], *segment["alternatives"]]
    assert status == 0 and len(set(texts)) == 3


TIME = r"\d\d:\d\d:\d\d"


@pytest.mark.parametrize(
    "format, form",
    [
        ("srt", rf"(\d+\n{TIME},\d{{3}} --> {TIME},\d{{3}}\n([a-z' ]+\n){{1,2}}\n)+"),
        ("vtt", rf"WEBVTT\n\n({TIME}\.\d{{3}} --> {TIME}\.\d{{3}}\n([a-z' ]+\n){{1,2}}\n)+"),
        ("tsv", r"start\tend\ttext\n(\d+\t\d+\t[a-z' ]+\n)+"),
        ("txt", r"([a-z']+( [a-z']+)+\n)+"),
    ],
)
def test_formats(capsys, format, form):
    status, out, _ = run(capsys, "--plain", "--format", format, CLIPS[0])
    assert status == 0 and re.fullmatch(form, out)


def test_text_is_written_unless_it_is_to_be_plain(capsys):
    written, plain = (run(capsys, *options, CLIPS[0])[1] for options in ([], ["--plain"]))
    assert written[0].isupper() and normalise(written) == plain.strip()


def test_folder_in_and_files_out_and_resume(capsys, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/a.wav", "in/deep/a.wav"):
        soundfile.write(tmp_path / name, *soundfile.read(CLIPS[0]))
    out = tmp_path / "out"
    status, _, _ = run(capsys, "--format", "json", "--output", out, tmp_path / "in")
    assert status == 0 and sorted(map(str, out.rglob("*.json"))) == [str(out / "a.json"), str(out / "deep/a.json")]
    (out / "a.json").write_text("kept")
    status, _, err = run(capsys, "--format", "json", "--output", out, "--resume", tmp_path / "in")
    assert status == 0 and "2 skipped" in err and (out / "a.json").read_text() == "kept"


def test_a_broken_file_is_reported_and_the_rest_goes_on(capsys, tmp_path):
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "nan.wav", np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    bad = [tmp_path / n for n in ("text.wav", "empty.wav", "nan.wav", "missing.wav", "folder")]
    status, out, err = run(capsys, *bad, CLIPS[0])
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 1 and out.strip() and "5 with errors" in err
    assert len(errors) == 5
    assert all(sum(path.name in line for line in errors) == 1 for path in bad)
    assert "Traceback" not in err


@pytest.mark.parametrize("rate, channels", [(8_000, 1), (192_000, 1), (44_100, 8)])
def test_any_rate_and_channel_count(capsys, tmp_path, rate, channels):
    import soxr

    samples, own = soundfile.read(CLIPS[0], dtype="float32")
    moved = soxr.resample(samples, own, rate)
    soundfile.write(tmp_path / "a.wav", np.repeat(moved[:, None], channels, 1), rate)
    status, out, _ = run(capsys, tmp_path / "a.wav")
    assert status == 0 and len(out.split()) > 2


def test_one_sample_of_audio_says_nothing(capsys, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.5]), 16_000)
    assert run(capsys, tmp_path / "a.wav")[:2] == (0, "")


def test_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CLIPS[0].read_bytes())))
    status, out, _ = run(capsys, "-")
    assert status == 0 and out.strip()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--model", "klingon"], "klingon"),
        (["--resume"], "--output"),
        (["--beam", "0"], "above 0"),
        (["--latency", "5"], "latency"),
        (["--format", "docx"], "docx"),
        (["--n-best", "2"], "--n-best needs --format json"),
        (["--commands", "go.txt", "--no-lm", "--beam", "9"], "leave --no-lm and --beam out"),
    ],
)
def test_what_cannot_start_says_why(capsys, arguments, sentence):
    status, out, err = run(capsys, *arguments, CLIPS[0])
    assert status == 2 and sentence in err and not out


def test_a_damaged_voice_activity_detector_is_one_sentence(capsys, monkeypatch, tmp_path):
    def load() -> None:
        raise UsageError("vad.safetensors is damaged")

    monkeypatch.setattr(SpeechDetector, "load", load)
    (tmp_path / "text").write_text("yes")
    for command in (["transcribe", CLIPS[0]], ["align", CLIPS[0], tmp_path / "text"]):
        assert main(list(map(str, command))) == 2
        assert capsys.readouterr().err == "error: vad.safetensors is damaged\n"


def test_a_damaged_checkpoint_and_one_of_another_version(capsys, tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "damaged.safetensors").write_bytes(b"\x10" * 999)
    save_file({"a": np.zeros(1)}, tmp_path / "old.safetensors", {"format": "asr-ctc", "version": "0"})
    for name, word in (("damaged", "damaged"), ("old", "version")):
        status, _, err = run(capsys, "--model", tmp_path / f"{name}.safetensors", CLIPS[0])
        assert status == 2 and word in err and "Traceback" not in err


def test_an_output_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = run(capsys, "--output", tmp_path / "file" / "out", CLIPS[0])
    assert status == 2 and "cannot be written" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny disk takes root")
def test_a_full_disk_leaves_nothing_half_written(capsys, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk]).returncode:
        pytest.skip("no mounting here")
    try:
        (disk / "filler").write_bytes(b"x" * 4096)
        status, _, err = run(capsys, "--output", disk, CLIPS[0])
        assert status == 1 and "cannot be written" in err
        assert [p.name for p in disk.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("given, beam", [([], 160), (["--letters"], 64), (["--no-lm"], 64), (["--beam", "9"], 9)])
def test_the_beam_that_is_used(given, beam):
    parser = argparse.ArgumentParser()
    transcribe.add_transcribe(parser)
    wanted = transcribe._decoder(parser.parse_args([*given, "x.wav"]))
    assert Decoder(*load_model(), wanted)._search.options.beam == beam


def test_without_phonemes_the_beam_is_that_of_a_search_in_letters():
    model, card = load_model()
    model.options = replace(model.options, phonemes=())
    assert Decoder(model, card, DecoderOptions())._search.options.beam == 64


def test_no_beam_and_hotwords_without_a_search_are_refused():
    with pytest.raises(ValueError, match="one prefix at least"):
        DecoderOptions(beam=0)
    for other in ({"beam": 1}, {"commands": ("go",)}):
        with pytest.raises(UsageError, match="hotwords need a search"):
            DecoderOptions(hotwords=(Hotword("zork"),), **other)


@pytest.mark.parametrize("total, shown", [(170.0, r"talk.mp3:  50%\|█+ *\| 85/170 s, 85 times real time, "),
                                          (None, "talk.mp3: 85 s, 85 times real time")])  # fmt: skip
def test_progress_is_in_seconds_and_plain_words(monkeypatch, total, shown):
    now = iter([0.0, 1.0])
    with monkeypatch.context() as patch:
        patch.setattr("time.monotonic", lambda: next(now, 1.0))
        bar = Bar("/some/where/talk.mp3", total)
        with bar as tell:
            tell(85.0)
            assert re.match(shown, str(bar._bar))


def test_help_names_every_option(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0 and all(o in out for o in ("--format", "--output", "--resume", "--model", "--latency"))
