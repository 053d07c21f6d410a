"""Corpora as they lie on disk -> utterances. What a path holds is recognised by its looks.

x.jsonl             manifest: audio_filepath, duration, text; speaker and corpus if known
x.tsv               Common Voice: path and sentence, audio in the folder clips beside it
folder/wav.scp      Kaldi: text, utt2spk and segments beside it
folder/*.trans.txt  LibriSpeech: READER/CHAPTER/READER-CHAPTER.trans.txt with audio beside each
folder/*.txt        a text beside each audio file, of the same name
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from asr import audio
from asr.text import normalise
from asr.training.data import ManifestError, Utterance, read_manifest

UNKNOWN = "unknown"  # speaker


def read(path: str | Path) -> list[Utterance]:
    """All utterances of a corpus. Missing audio has a duration of 0 s. Raises ManifestError."""
    path = Path(path)
    if not path.exists():
        raise ManifestError(f"{path} does not exist: give a manifest, a TSV file of Common Voice, or a folder")
    if path.is_file() and path.suffix == ".tsv":
        return _some(_common_voice(path), path)
    if path.is_file():
        return read_manifest(path)
    if (path / "wav.scp").is_file():
        return _some(_kaldi(path), path)
    if trans := sorted(path.rglob("*.trans.txt")):
        return _some(_librispeech(trans, path), path)
    return _some(_beside_texts(path), path)


def _some(found: Iterator[Utterance], path: Path) -> list[Utterance]:
    utterances = list(found)
    if not utterances:
        raise ManifestError(
            f"{path} holds no utterances: give a manifest (JSONL), a TSV file of Common Voice, a Kaldi data folder, "
            "a LibriSpeech tree, or a folder with a .txt beside each audio file"
        )
    return utterances


def _utterance(file: Path, raw: str, corpus: str, speaker: str) -> Utterance:
    seconds = audio.duration(str(file)) or 0.0
    return Utterance(file, seconds, normalise(raw), corpus, speaker, raw)


def _common_voice(path: Path) -> Iterator[Utterance]:
    """train.tsv, dev.tsv ...: the speaker is client_id."""
    try:
        table = csv.DictReader(_text(path).split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE)
        columns, rows = table.fieldnames or (), list(table)
    except csv.Error as error:
        raise ManifestError(f"{path} is no TSV file of Common Voice ({error}): fetch it again") from None
    if missing := {"path", "sentence"} - set(columns):
        raise ManifestError(f"{path} has no column {sorted(missing)[0]}: it is no TSV file of Common Voice")
    for number, row in enumerate(rows, start=2):
        if not row["path"] or row["sentence"] is None:
            raise ManifestError(f"{path}, line {number}: no path or no sentence")
        yield _utterance(
            path.parent / "clips" / row["path"], row["sentence"], "commonvoice", row.get("client_id") or UNKNOWN
        )


def _librispeech(trans: list[Path], root: Path) -> Iterator[Utterance]:
    for file in trans:
        for key, text in pairs(file):
            yield _utterance(_audio(file.parent / key), text, root.name, key.split("-")[0])


def _kaldi(folder: Path) -> Iterator[Utterance]:
    recordings, texts = dict(pairs(folder / "wav.scp")), dict(pairs(folder / "text"))
    speakers = dict(pairs(folder / "utt2spk")) if (folder / "utt2spk").is_file() else {}
    for recording, command in recordings.items():
        if command.endswith("|"):
            raise ManifestError(f"{folder / 'wav.scp'}: {recording} is a command, not a file: write its output to one")
    parts = dict(pairs(folder / "segments")) if (folder / "segments").is_file() else {key: key for key in recordings}
    for key, part in parts.items():
        recording, *times = part.split() or [""]
        if recording not in recordings:
            raise ManifestError(f"{folder}: {key} is of the recording {recording}, which wav.scp lacks")
        file, text, speaker = folder / recordings[recording], texts.get(key, ""), speakers.get(key, UNKNOWN)
        if not times:
            yield _utterance(file, text, folder.name, speaker)
            continue
        try:
            start, end = map(float, times)
            if not 0 <= start < end < math.inf:
                raise ValueError
        except ValueError:
            raise ManifestError(f"{folder / 'segments'}: {key} needs a start and an end after it, in seconds") from None
        yield Utterance(file, end - start, normalise(text), folder.name, speaker, text, start)


def _beside_texts(folder: Path) -> Iterator[Utterance]:
    """Audio below the folder that has a text; the folder it lies in names the speaker, if that is not the top one."""
    for source in audio.find([str(folder)]):
        if isinstance(source, audio.AudioError):
            raise ManifestError(f"{source}: give a manifest, or a folder with a .txt beside each audio file")
        text = Path(source).with_suffix(".txt")
        if text.is_file():
            speaker = UNKNOWN if text.parent == folder else text.parent.relative_to(folder).parts[0]
            yield _utterance(Path(source), " ".join(lines(text)), folder.name, speaker)


def _audio(stem: Path) -> Path:
    """The audio file of that name without its suffix; LibriSpeech's own is flac."""
    kinds = [".flac", *sorted(audio.SUFFIXES)]
    found = [path for path in (stem.with_name(stem.name + kind) for kind in kinds) if path.is_file()]
    return found[0] if found else stem.with_name(f"{stem.name}.flac")


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    """A Kaldi file's lines: an id, and what belongs to it. Raises ManifestError."""
    seen: set[str] = set()
    for line in lines(path):
        key, *rest = line.split(maxsplit=1)
        if key in seen:
            raise ManifestError(f"{path}: the id {key} stands there twice")
        seen.add(key)
        yield key, rest[0] if rest else ""


def lines(path: Path) -> list[str]:
    """A text file's lines that are not empty. Raises ManifestError."""
    return [line.strip() for line in _text(path).split("\n") if line.strip()]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ManifestError(f"{path} is not UTF-8 text: convert it, for example with iconv") from None
