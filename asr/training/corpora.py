"""Corpora as they lie on disk -> utterances. What a path holds is recognised by its looks.

x.jsonl             manifest: audio_filepath, duration, text; speaker and corpus if known
x.tsv               Common Voice: path and sentence, audio in the folder clips beside it
folder/wav.scp      Kaldi: text, utt2spk and segments beside it
folder/*.trans.txt  LibriSpeech: READER/CHAPTER/READER-CHAPTER.trans.txt with audio beside each
folder/metadata.csv LJ Speech: id|text as printed|text as read, audio in the folder wavs beside it
folder/etc          CMU Arctic: etc/txt.done.data with ( id "text" ), audio in the folder wav
folder/txt          VCTK: txt/SPEAKER/ID.txt, audio in wav48_silence_trimmed/SPEAKER/ID_mic1.flac
folder/*.txt        a text beside each audio file, of the same name
"""

from __future__ import annotations

import csv
import hashlib
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from asr import audio
from asr.files import read_text
from asr.model.checkpoint import ModelOptions
from asr.text import normalise
from asr.training.data import ManifestError, Utterance, read_manifest

UNKNOWN = "unknown"  # speaker
SPOILT = 0.2  # share of a corpus that may be unusable before training is refused


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
    for mark, reader in (("metadata.csv", _ljspeech), ("etc/txt.done.data", _arctic), ("txt", _vctk)):
        if (path / mark).exists():
            return _some(reader(path), path)
    if trans := sorted(path.rglob("*.trans.txt")):
        return _some(_librispeech(trans, path), path)
    return _some(_beside_texts(path), path)


def _some(found: Iterator[Utterance], path: Path) -> list[Utterance]:
    utterances = list(found)
    if not utterances:
        raise ManifestError(
            f"{path} holds no utterances: give a manifest (JSONL), a TSV file of Common Voice, a Kaldi data folder, "
            "a tree of LibriSpeech, LJ Speech, CMU Arctic or VCTK, or a folder with a .txt beside each audio file"
        )
    return utterances


def _utterance(file: Path, raw: str, corpus: str, speaker: str) -> Utterance:
    seconds = audio.duration(str(file)) or 0.0
    return Utterance(file, seconds, normalise(raw), corpus, speaker, raw)


def _common_voice(path: Path) -> Iterator[Utterance]:
    """train.tsv, dev.tsv ...: the speaker is client_id."""
    try:
        table = csv.DictReader(read_text(path, ManifestError).split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE)
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


def _ljspeech(folder: Path) -> Iterator[Utterance]:
    for line in lines(folder / "metadata.csv"):
        key, *texts = line.split("|")
        yield _utterance(_audio(folder / "wavs" / key), texts[-1] if texts else "", "ljspeech", folder.name)


def _arctic(folder: Path) -> Iterator[Utterance]:
    for line in lines(folder / "etc/txt.done.data"):
        key, _, text = line.strip("() ").partition(" ")
        yield _utterance(_audio(folder / "wav" / key), text.strip('" '), "cmu-arctic", folder.name)


def _vctk(folder: Path) -> Iterator[Utterance]:
    """The first microphone of each utterance; one speaker, p315, has no texts."""
    for text in sorted((folder / "txt").glob("*/*.txt")):
        file = folder / "wav48_silence_trimmed" / text.parent.name / f"{text.stem}_mic1"
        yield _utterance(_audio(file), " ".join(lines(text)), "vctk", text.parent.name)


def _beside_texts(folder: Path) -> Iterator[Utterance]:
    """Audio below the folder, if any of it has a text: without one beside it its text is empty.

    The folder it lies in names the speaker, if that is not the top one.
    """
    sources = audio.find([str(folder)])
    for source in sources:
        if isinstance(source, audio.AudioError):
            raise ManifestError(f"{source}: give a manifest, or a folder with a .txt beside each audio file")
    files = [Path(str(source)) for source in sources]
    if any(file.with_suffix(".txt").is_file() for file in files):
        for file in files:
            text = file.with_suffix(".txt")
            speaker = UNKNOWN if file.parent == folder else file.parent.relative_to(folder).parts[0]
            yield _utterance(file, " ".join(lines(text)) if text.is_file() else "", folder.name, speaker)


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
    return [line.strip() for line in read_text(path, ManifestError).split("\n") if line.strip()]


# what of it can be trained on, and what is held out


def usable(utterances: list[Utterance], where: str) -> tuple[list[Utterance], str]:
    """-> those that something can be learnt from, and a sentence about the others, or "". Raises ManifestError."""
    faults = [_fault(u) for u in utterances]
    kept = [u for u, fault in zip(utterances, faults) if not fault]
    counts = Counter(fault for fault in faults if fault)
    told = ", ".join(f"{n} {fault}" for fault, n in counts.most_common())
    if len(kept) < (1 - SPOILT) * len(utterances) or not kept:
        first = next(u.name for u, fault in zip(utterances, faults) if fault)
        raise ManifestError(
            f"{where}: of {len(utterances)} utterances {told}, {first} the first; `asr data check` says more"
        )
    return kept, f"{where}: left out of {len(utterances)} utterances: {told}" if told else ""


def _fault(u: Utterance) -> str:
    if not u.path.is_file():
        return "have no audio file"
    if not u.text:
        return "have no text"
    if lost_symbols(u.raw):
        return "have digits, signs or letters that the alphabet lacks"
    too_many = frames_needed(u.text) > u.duration / ModelOptions().frame_seconds
    return "have more letters than their audio has frames" if too_many else ""


def lost_symbols(text: str) -> list[str]:
    """Those that are said aloud and of which no a-z remains: digits, letters of other scripts, % and & and the like."""
    return [c for c in text if _is_said(c)]


def _is_said(symbol: str) -> bool:
    if normalise(symbol):
        return False
    kind = unicodedata.category(symbol)
    return symbol in "&%@+=#*" or kind[0] == "N" or kind in ("Lu", "Ll", "Lt", "Lo", "Sc", "So")


def frames_needed(text: str) -> int:
    """By CTC: one for each letter, and a blank between two that are the same."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:]))


def hold_out(utterances: list[Utterance], share: float, most: int) -> tuple[list[Utterance], list[Utterance]]:
    """-> the rest, and about that share, ``most`` utterances at most: of whole speakers where there are ten or more.

    What is said in one part is not said in the other by the same speaker. The choice depends on the data alone.
    """
    speakers = {u.speaker for u in utterances} - {UNKNOWN}
    keys = [u.speaker if len(speakers) >= 10 and u.speaker != UNKNOWN else f"{u.speaker} {u.text}" for u in utterances]
    sizes, wanted, chosen = Counter(keys), min(most, max(1, round(share * len(utterances)))), set()
    for key in sorted(sizes, key=lambda k: hashlib.sha256(k.encode()).digest()):
        if wanted > 0 and len(chosen) < len(sizes) - 1:
            chosen.add(key)
            wanted -= sizes[key]
    return (
        [u for u, key in zip(utterances, keys) if key not in chosen],
        [u for u, key in zip(utterances, keys) if key in chosen],
    )
