"""Files that `asr transcribe` writes: a single one, or a folder whose index says which result is whose."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asr import __version__, audio
from asr.commands.terminal import INDEX, Output, say
from asr.files import atomic_write
from asr.model.checkpoint import MODELS
from asr.transcript import FORMATS, OutputError, Transcript, save


class OneFile(Output):
    """One file for a single input."""

    def __init__(self, path: str, format: str):
        """Raises OutputError where nothing can be written there."""
        self._path, self._format = path, format
        _try(Path(path).parent)

    def finish(self, source: str, transcript: Transcript) -> None:
        save(transcript, self._path, self._format)


class Folder(Output):
    """A folder with a result for each input, and an index: one JSON object a line for each result.

    An object holds the input's path (source), its size and time of change, the settings that matter for the text, the
    result's path below the folder, and a warning where the input could be read in part only. Later lines replace
    earlier ones of the same result. A result's name belongs to its input for good; a file that the index does not know
    is somebody else's and is left alone.
    """

    def __init__(self, folder: str, format: str, settings: Mapping[str, Any]):
        """Raises OutputError where nothing can be written there."""
        _try(Path(folder))
        self._folder, self._format = Path(folder), format
        self._settings = json.loads(json.dumps(settings))  # as the index has them
        self._rows: dict[str, dict] = {}  # by result
        self._targets: dict[str, str] = {}  # result of each source, of this format
        self._stamps: dict[str, dict[str, int]] = {}  # of each source when its turn came
        for row in _read(self._folder / INDEX):
            self._rows[row["result"]] = row
            if row["result"].endswith(f".{format}"):
                self._targets[row["source"]] = row["result"]

    def claim(self, source: str, place: str) -> None:
        key = _key(source)
        self._stamps[key] = _stamp(source)
        if key in self._targets and source != audio.STDIN:
            return
        wanted = self._names(Path("stdin" if source == audio.STDIN else place))
        name = next(n for n in wanted if n not in self._rows and not os.path.lexists(self._folder / n))
        self._rows[name] = {"source": key, "result": name}
        self._targets[key] = name
        if Path(name).with_suffix("") != Path(place).with_suffix("") and source != audio.STDIN:
            say(f"the result of {source} goes to {self._folder / name}: the shorter name is taken")

    def _names(self, place: Path) -> Iterator[str]:
        """talk.flac -> talk.txt, talk.flac.txt, talk.flac-2.txt, ..."""
        yield f"{place.with_suffix('')}.{self._format}"
        yield f"{place}.{self._format}"
        number = 2
        while True:
            yield f"{place}-{number}.{self._format}"
            number += 1

    def is_done(self, source: str) -> bool:
        row = self._rows[self._targets[_key(source)]]
        return source != audio.STDIN and row == self._row(source) and (self._folder / row["result"]).is_file()

    def finish(self, source: str, transcript: Transcript) -> None:
        """Write a result and its line in the index. Raises OutputError.

        Stopped at any moment, there is no line of a result that is not whole: an older result of the same name goes
        first, then comes the line, then the result, which is complete by then, under its name.
        """
        row = self._row(source) | ({"warning": transcript.warning} if transcript.warning else {})
        path = self._folder / row["result"]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as partial:
                with partial.open("w", encoding="utf-8") as file:
                    FORMATS[self._format].write(transcript, file)
                path.unlink(missing_ok=True)
                _append(self._folder / INDEX, row)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
        self._rows[row["result"]] = row

    def _row(self, source: str) -> dict[str, Any]:
        key = _key(source)
        return {"source": key, **self._stamps[key], "settings": self._settings, "result": self._targets[key]}


def _try(folder: Path) -> None:
    """Make a folder, and a file in it that is gone again: hours of work are not to end at a disk that takes nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise OutputError(f"{folder} is a file: name a folder, or a file that ends in .{', .'.join(FORMATS)}") from None
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror}") from None


def _key(source: str) -> str:
    return source if source == audio.STDIN else os.path.abspath(source)


def _stamp(path: str) -> dict[str, int]:
    """What tells that a file has changed."""
    try:
        found = os.stat(path)
    except OSError:
        return {}
    return {"size": found.st_size, "modified_ns": found.st_mtime_ns}


def _read(index: Path) -> Iterator[dict]:
    """Its rows; a line that is damaged, as by a full disk, is left out."""
    try:
        lines = index.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputError(f"{index} cannot be read: {error.strerror}") from None
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("source"), str) and isinstance(row.get("result"), str):
            yield row


def _append(index: Path, row: dict) -> None:
    """One line, whole, also behind one that was torn."""
    line = json.dumps(row).encode() + b"\n"
    try:
        with index.open("a+b") as file:
            if size := file.seek(0, os.SEEK_END):
                file.seek(size - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
    except OSError:
        if index.is_file() and not index.stat().st_size:  # begun in vain
            index.unlink()
        raise


def settings_of(options: Mapping[str, Any], without: set[str]) -> dict[str, Any]:
    """What a text depends on: the options, those that name files with what tells that these have changed; the program's
    version, and the packaged models, which a clone may bring without another version."""
    given = {name: value for name, value in options.items() if value not in (None, False) and name not in without}
    files = {name: _stamp(value) for name, value in given.items() if isinstance(value, str) and os.path.isfile(value)}
    paths = {name: {"path": os.path.abspath(given[name])} | stamp for name, stamp in files.items()}
    return given | paths | {"version": __version__, "models": _models()}


def _models() -> str:
    """A fingerprint of the packaged models: the begin of every file, where their cards and scales are."""
    found = hashlib.sha256()
    for path in sorted(MODELS.iterdir()):
        if path.suffix != ".md":
            with path.open("rb") as file:
                found.update(file.read(2**18))
    return found.hexdigest()[:16]
