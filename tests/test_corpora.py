"""Corpora as they lie on disk: a miniature of each format, made of the real clips, reads as the same utterances."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.text import normalise
from asr.training.corpora import read
from asr.training.data import Audio, ManifestError

DATA = Path(__file__).parent / "data"
ROWS = [json.loads(line) for line in (DATA / "clips.jsonl").read_text().splitlines()]


def as_manifest(folder: Path) -> Path:
    for row in ROWS:
        shutil.copy(DATA / row["audio_filepath"], folder)
    shutil.copy(DATA / "clips.jsonl", folder)
    return folder / "clips.jsonl"


def as_common_voice(folder: Path) -> Path:
    (folder / "clips").mkdir()
    lines = ["client_id\tpath\tsentence\tup_votes"]
    for row in ROWS:
        shutil.copy(DATA / row["audio_filepath"], folder / "clips")
        lines.append(f"{row['speaker']}\t{row['audio_filepath']}\t{row['raw_text']}\t2")
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder / "train.tsv"


def as_librispeech(folder: Path) -> Path:
    for number, row in enumerate(ROWS):
        chapter = folder / "dev-tiny" / f"{100 + number}" / "7"
        chapter.mkdir(parents=True)
        samples, rate = soundfile.read(DATA / row["audio_filepath"])
        soundfile.write(chapter / f"{100 + number}-7-0000.flac", samples, rate)
        (chapter / f"{100 + number}-7.trans.txt").write_text(f"{100 + number}-7-0000 {row['raw_text'].upper()}\n")
    return folder / "dev-tiny"


def as_kaldi(folder: Path) -> Path:
    clips, text, speakers = [], [], []
    for number, row in enumerate(ROWS):
        shutil.copy(DATA / row["audio_filepath"], folder)
        clips.append(f"u{number} {row['audio_filepath']}")
        text.append(f"u{number} {row['text']}")
        speakers.append(f"u{number} {row['speaker']}")
    for name, lines in (("wav.scp", clips), ("text", text), ("utt2spk", speakers)):
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def as_folder(folder: Path) -> Path:
    for row in ROWS:
        target = folder / row["speaker"] / row["audio_filepath"]
        target.parent.mkdir(exist_ok=True)
        shutil.copy(DATA / row["audio_filepath"], target)
        target.with_suffix(".txt").write_text(row["raw_text"].replace(" ", "\n", 1) + "\n")
    return folder


def tree(folder: Path, audio: str, texts: dict[str, str]) -> None:
    """Write texts, and the clip of each row at the path that ``audio`` gives it."""
    for row in ROWS:
        path = folder / audio.format(id=Path(row["audio_filepath"]).stem, **row)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / row["audio_filepath"], path)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("kind", ["ljspeech", "cmu-arctic", "vctk"])
def test_trees_of_public_corpora_are_read(tmp_path, kind):
    keys = {Path(row["audio_filepath"]).stem: row for row in ROWS}
    if kind == "ljspeech":
        table = "".join(f"{key}|printed|{row['raw_text']}\n" for key, row in keys.items())
        tree(tmp_path, "wavs/{id}.opus", {"metadata.csv": table})
    elif kind == "cmu-arctic":
        table = "".join(f'( {key} "{row["raw_text"]}" )\n' for key, row in keys.items())
        tree(tmp_path, "wav/{id}.opus", {"etc/txt.done.data": table})
    else:
        texts = {f"txt/{row['speaker']}/{key}.txt": row["raw_text"] + "\n" for key, row in keys.items()}
        tree(tmp_path, "wav48_silence_trimmed/{speaker}/{id}_mic1.opus", texts)
    found = read(tmp_path)
    assert sorted(u.text for u in found) == sorted(normalise(r["text"]) for r in ROWS)
    assert {u.corpus for u in found} == {kind} and all(u.path.is_file() and u.duration > 1 for u in found)
    assert len({u.speaker for u in found}) == (4 if kind == "vctk" else 1)


@pytest.mark.parametrize("write", [as_manifest, as_common_voice, as_librispeech, as_kaldi, as_folder])
def test_every_format_gives_the_same_utterances(write, tmp_path):
    found = read(write(tmp_path))
    assert sorted(u.text for u in found) == sorted(normalise(r["text"]) for r in ROWS)
    seconds = {normalise(r["text"]): r["duration"] for r in ROWS}
    assert all(u.duration == pytest.approx(seconds[u.text], abs=0.05) for u in found)
    assert len({u.speaker for u in found}) == 4 and "unknown" not in {u.speaker for u in found}
    assert all(u.path.is_file() for u in found)


def test_segments_of_a_kaldi_folder_are_parts_of_recordings(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.arange(32_000) / 40_000, 16_000, "FLOAT")
    for name, text in {
        "wav.scp": "long long.wav\n", "segments": "u1 long 0.5 1.0\nu2 long 1.5 2.0\n",
        "text": "u1 one\nu2 two\n", "utt2spk": "u1 ann\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    found = read(tmp_path)
    assert [(u.text, u.start, u.duration, u.speaker) for u in found] == [
        ("one", 0.5, 0.5, "ann"), ("two", 1.5, 0.5, "unknown"),
    ]  # fmt: skip
    audio = Audio(found, tmp_path / "cache")
    assert np.allclose(audio[1], np.arange(24_000, 32_000) / 40_000, atol=1e-3)


def test_a_missing_file_has_no_duration(tmp_path):
    path = as_common_voice(tmp_path)
    (tmp_path / "clips" / "names.opus").unlink()
    assert [u.duration == 0 for u in read(path)].count(True) == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no audio files: give a manifest"),
        ({"a.wav": "x"}, "holds no utterances"),
        ({"wav.scp": "u1 a.wav\n"}, "cannot read .*text"),
        ({"wav.scp": "u1 sph2pipe a.sph |\n", "text": "u1 a\n"}, "u1 is a command"),
        ({"wav.scp": "u1 a.wav\nu1 b.wav\n", "text": ""}, "u1 stands there twice"),
        ({"wav.scp": "r a.wav\n", "text": "u1 a\n", "segments": "u1 q 0 1\n"}, "recording q, which wav.scp lacks"),
        ({"wav.scp": "r a.wav\n", "text": "u1 a\n", "segments": "u1 r 0\n"}, "needs a start and an end"),
        ({"wav.scp": "r a.wav\n", "text": "u1 a\n", "segments": "u1\n"}, "which wav.scp lacks"),
        ({"wav.scp": "r a.wav\n", "text": "u1 a\n", "segments": "u1 r 5 2\n"}, "needs a start and an end"),
        ({"wav.scp": "r a.wav\n", "text": "u1 a\n", "segments": "u1 r 0 nan\n"}, "needs a start and an end"),
    ],
)
def test_what_is_no_corpus_is_one_sentence(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=said):
        read(tmp_path)


def test_a_tsv_that_is_not_common_voices_and_a_path_that_is_not_there(tmp_path):
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ManifestError, match="no column path"):
        read(tmp_path / "x.tsv")
    with pytest.raises(ManifestError, match="does not exist"):
        read(tmp_path / "nowhere")
