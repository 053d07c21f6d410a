"""Transcripts to compare: read from whatever holds them, and matched by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from asr import audio
from asr.errors import Error
from asr.files import read_text
from asr.score import words_of
from asr.training import corpora
from asr.training.data import ManifestError


class ScoreError(Error):
    """One sentence: why these texts cannot be compared."""


@dataclass(frozen=True)
class Text:
    name: str  # of the audio file or utterance; "" for a line of plain text, which is matched by its number
    text: str
    speaker: str = corpora.UNKNOWN
    corpus: str = corpora.UNKNOWN


def read_texts(path: str | Path, plain: bool = False) -> list[Text]:
    """JSON lines, Kaldi's ``text``, plain lines, a folder of .txt or .json results, or any corpus with audio.

    plain: the file has a text on each line and no ids. Raises ScoreError.
    """
    path = Path(path)
    try:
        has_audio = path.is_dir() and any(p.suffix.lower() in audio.SUFFIXES for p in path.rglob("*"))
        if path.is_dir() and not (path / "wav.scp").exists() and not has_audio:
            return _results(path)
        if path.is_dir() or path.suffix == ".tsv" and not plain:
            return [Text(u.name, u.raw, u.speaker, u.corpus) for u in corpora.read(path)]
        text = _contents(path)
    except ManifestError as error:
        raise ScoreError(str(error)) from None
    if text.lstrip().startswith("{") and not plain:
        return _json_lines(path, text)
    lines = text.removesuffix("\n").split("\n")
    keys = [line.split(maxsplit=1)[0] if line.strip() else "" for line in lines]
    plain = plain or lines == keys[:1]  # one word, "20" perhaps
    if plain or len(set(keys)) < len(keys) or not all(re.search(r"[\d_/.-]", key.strip(".")) for key in keys):
        return [Text("", line) for line in lines]
    return [Text(key, line.strip()[len(key) :].strip()) for key, line in zip(keys, lines)]


def _contents(path: Path) -> str:
    if not path.exists():
        raise ScoreError(f"{path} does not exist")
    if not (text := read_text(path, ScoreError)):
        raise ScoreError(f"{path} is empty")
    return text


def _results(folder: Path) -> list[Text]:
    """What `asr transcribe --output` left: a file for each recording."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".txt", ".json")):
        if path.suffix == ".json":
            found += _json_lines(path, _contents(path))
        else:
            name = str(path.relative_to(folder).with_suffix(""))
            found.append(Text(name, " ".join(path.read_text("utf-8-sig", errors="replace").split())))
    if not found:
        raise ScoreError(f"{folder} holds no transcripts: give a folder with .txt or .json files, or a file")
    return found


def _json_lines(path: Path, text: str) -> list[Text]:
    """A manifest, or the JSON that `asr transcribe` writes."""
    found = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            row = json.loads(line)
            name = next(row[key] for key in ("audio_filepath", "file", "id") if key in row)
            start = row.get("offset", row.get("start")) if "audio_filepath" in row else None
            if start is not None:  # a part of the file: several rows have its name
                name = f"{name} at {float(start):.2f} s"
            row = {"corpus": path.stem, "speaker": corpora.UNKNOWN} | row
            said = row.get("spoken", row["text"])  # of a transcript: its text has figures
            found.append(Text(str(name), said + "", str(row["speaker"]), str(row["corpus"])))
        except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
            raise ScoreError(
                f"{path}, line {number}: needs an object with `text` and one of `audio_filepath`, `file`, `id`"
            ) from None
    return found


def match(reference: Sequence[Text], hypothesis: Sequence[Text]) -> dict[int, int]:
    """Numbers of the reference's texts -> those of the hypothesis with the same name, or line. Raises ScoreError.

    Of file names only as much counts as it takes to tell them apart: a/b.wav and /data/a/b.opus are the same.
    """
    named = [all(t.name for t in side) for side in (reference, hypothesis)]
    if named[0] != named[1]:
        raise ScoreError("one side has names of utterances and the other has not: give both, or neither (--lines)")
    if not named[0]:
        if len(reference) != len(hypothesis):
            raise ScoreError(
                f"the reference has {len(reference)} lines and the hypothesis {len(hypothesis)}: "
                "texts without ids must correspond line by line"
            )
        return {i: i for i in range(len(reference))}
    sides = [[_parts(t.name) for t in side] for side in (reference, hypothesis)]
    for depth in range(1, max(len(parts) for side in sides for parts in side) + 1):
        keys = [[parts[-depth:] for parts in side] for side in sides]
        if all(len(set(side)) == len(side) for side in keys):
            places = {key: i for i, key in enumerate(keys[1])}
            return {i: places[key] for i, key in enumerate(keys[0]) if key in places}
    named_alike = zip((reference, hypothesis), sides)
    twice = [t.name for texts, parts in named_alike for t, own in zip(texts, parts) if parts.count(own) > 1]
    raise ScoreError(f"{twice[0]} stands twice on one side: leave one of them out")


def _parts(name: str) -> tuple[str, ...]:
    path = PurePath(name.removeprefix("./"))
    return (path.with_suffix("") if path.suffix.lower() in audio.SUFFIXES else path).parts


def normaliser(name: str) -> Callable[[str], str]:
    """letters: a-z, apostrophe and space, other words as written; whisper: OpenAI's, English; none: as it stands.

    Raises ScoreError.
    """
    if name == "whisper":
        try:
            from whisper_normalizer.english import EnglishTextNormalizer
        except ImportError:
            raise ScoreError("Whisper's normalisation needs a package: pip install 'asr[score]'") from None
        return EnglishTextNormalizer()
    plain: dict[str, Callable[[str], str]] = {"letters": lambda text: " ".join(words_of(text)), "none": str}
    return plain[name]
