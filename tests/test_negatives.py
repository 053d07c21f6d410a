"""The packaged negatives, and the recordings that a user gives."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.features import SAMPLE_RATE
from wakeword.train import negatives
from wakeword.train.negatives import Clip, NegativesError, read, recordings, without

REAL = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def index() -> list[dict]:
    return [json.loads(line) for line in (negatives.DATA / "negatives.jsonl").open(encoding="utf-8")]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """Packaged data of another size: a tone, a text's worth of noise, a held-out tone."""
    folder = tmp_path_factory.mktemp("data")
    tone = 0.5 * np.sin(np.arange(3 * SAMPLE_RATE) * 0.2).astype(np.float32)
    rows = []
    for split, levels in {"train": (0.1, 1.0, 0.3), "held-out": (0.6,)}.items():
        file = f"speech-{split}.opus"
        soundfile.write(
            folder / file, np.concatenate([tone * level for level in levels]), SAMPLE_RATE, format="OGG", subtype="OPUS"
        )
        for i, level in enumerate(levels):
            text = f"level {level}" if level < 1 else ""
            row = {
                "file": file,
                "start": 3.0 * i,
                "duration": 3.0,
                "text": text,
                "corpus": "tones",
                "speaker": f"{level}",
            }
            rows.append(row | {"licence": "CC0", "split": split})
    (folder / "negatives.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_split_is_cut_where_the_index_says(small, monkeypatch):
    monkeypatch.setattr(negatives, "DATA", small)
    clips = read("train")
    assert [(c.text, c.speaker) for c in clips] == [("level 0.1", "0.1"), ("", "1.0"), ("level 0.3", "0.3")]
    for clip in clips:
        assert len(clip.samples) == 3 * SAMPLE_RATE and clip.samples.dtype == np.float32
        loud = np.abs(clip.samples).reshape(-1, 160).max(1)[5:-5]  # the ends meet their neighbours
        assert loud == pytest.approx(0.5 * float(clip.speaker), rel=0.15)
    assert [c.speaker for c in read("held-out")] == ["0.6"]


def test_damaged_packaged_data_is_one_sentence(small, monkeypatch, tmp_path):
    monkeypatch.setattr(negatives, "DATA", tmp_path)
    with pytest.raises(NegativesError, match="install again"):
        read("train")
    (tmp_path / "negatives.jsonl").write_text((small / "negatives.jsonl").read_text())
    (tmp_path / "speech-train.opus").write_bytes((small / "speech-train.opus").read_bytes()[:4000])
    with pytest.raises(NegativesError, match="install again"):
        read("train")


def test_the_packaged_negatives_are_what_was_promised(index):
    assert sum(path.stat().st_size for path in negatives.DATA.glob("*.opus")) < 13e6
    assert sum(row["duration"] for row in index if row["text"]) > 3600
    assert sum(row["duration"] for row in index if not row["text"]) > 20 * 60
    assert {row["licence"].removesuffix(" 4.0") for row in index} <= {"CC0", "CC BY", "public domain"}
    for text in (True, False):
        speakers = {
            s: {r["speaker"] for r in index if r["split"] == s and bool(r["text"]) == text}
            for s in ("train", "held-out")
        }
        assert not speakers["train"] & speakers["held-out"]
        assert 0.2 < len(speakers["held-out"]) / len(speakers["train"] | speakers["held-out"]) < 0.4


def test_the_packaged_files_are_as_long_as_the_index_says(index):
    for file in {row["file"] for row in index}:
        rows = [row for row in index if row["file"] == file]
        starts = np.cumsum([0.0, *(row["duration"] for row in rows)])
        assert [row["start"] for row in rows] == pytest.approx(starts[:-1].tolist())
        info = soundfile.info(negatives.DATA / file)
        assert (info.samplerate, info.channels) == (SAMPLE_RATE, 1) and info.duration == pytest.approx(starts[-1])


@pytest.fixture(scope="module")
def held_out() -> list[Clip]:
    return read("held-out")


def test_packaged_clips_begin_and_end_in_pauses(held_out):
    """So they are cut in the right places."""
    spoken = [clip.samples for clip in held_out if clip.text]
    edges = [max(np.abs(s[:800]).mean(), np.abs(s[-800:]).mean()) / np.abs(s).mean() for s in spoken]
    middles = [np.abs(s[len(s) // 2 :][:800]).mean() / np.abs(s).mean() for s in spoken]
    assert np.median(edges) < 0.3 < np.median(middles)
    assert all(np.isfinite(s).all() and s.any() for s in spoken)


def test_clips_that_say_the_phrase_are_left_out(held_out):
    word = max({w for c in held_out for w in c.text.split()}, key=len)
    rest = without(held_out, word.upper())
    assert 0 < len(held_out) - len(rest) < 5 and not any(word in c.text.split() for c in rest)
    clips = [Clip(np.zeros(0), text, "", "") for text in ("the snow boy", "a snow ball", "")]
    assert [c.text for c in without(clips, "Snowboy!")] == ["a snow ball", ""]


def test_a_folder_of_recordings_is_read_without_what_is_broken(tmp_path):
    good = soundfile.read(REAL / "names.opus", dtype="float32")[0]
    soundfile.write(tmp_path / "a.wav", np.repeat(good, 3)[:, None].repeat(2, 1), 48_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), SAMPLE_RATE)
    soundfile.write(tmp_path / "still.wav", np.full(16_000, 0.3), SAMPLE_RATE)
    soundfile.write(tmp_path / "short.wav", good[20_000:20_500], SAMPLE_RATE)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound at all")
    (tmp_path / "cut.flac").write_bytes(flac(good)[:-20_000])
    (tmp_path / "notes.txt").write_text("not looked at")
    said: list[str] = []
    whole, cut = sorted(recordings(tmp_path, said.append), key=lambda clip: -len(clip.samples))
    assert len(whole.samples) == pytest.approx(len(good), abs=10) and whole.samples.dtype == np.float32
    assert 0 < len(cut.samples) < len(good)
    told = "\n".join(said)
    assert len(said) == 6 and all(name in told for name in ("silent", "still", "short", "empty", "text", "cut"))
    assert "silent.wav is silent" in told and "0.03 s only" in told and "notes" not in told


def flac(samples: np.ndarray) -> bytes:
    with io.BytesIO() as file:
        soundfile.write(file, samples, SAMPLE_RATE, format="FLAC")
        return file.getvalue()


def test_what_cannot_be_used_at_all_is_refused(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), SAMPLE_RATE)
    said: list[str] = []
    with pytest.raises(NegativesError, match="nothing in .* can be used"):
        recordings(tmp_path, said.append)
    assert len(said) == 1
    for path in (tmp_path / "missing", tmp_path / "missing.jsonl"):
        with pytest.raises(NegativesError, match="missing"):
            recordings(path, said.append)


def test_a_manifest_brings_its_texts(tmp_path):
    clips = recordings(REAL / "clips.jsonl")
    assert len(clips) == 4 and clips[0].text.startswith("he took part") and clips[0].corpus == "commonvoice"
    assert len(without(clips, "took part")) == 3
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(NegativesError, match="line 1"):
        recordings(tmp_path / "bad.jsonl")
