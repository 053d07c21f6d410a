"""The compact file of an n-gram model, which is mapped: only what is looked up comes into memory."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

from asr.language.ngram import NgramError, NgramModel, pack_levels
from asr.language.packed import EXACT, Level, PackedLevel
from asr.language.stored_arrays import UNREADABLE, mapped, store, text_array

FORMAT = "n-gram language model"
VERSION = 2
ARRAYS = {
    "records": np.uint8, "is_node": np.uint8, "ranks": np.uint32, "nodes": np.uint8, "prob_table": np.float32,
    "backoff_table": np.float32,
}  # fmt: skip


def save(model: NgramModel, path: Path | str) -> None:
    """Write the compact file, scores above unigrams in 8 bits."""
    exact = any(level.prob_bits == EXACT for level in model.packed[1:])
    levels = pack_levels(model.levels, small=True) if exact else model.packed
    header = {
        "format": FORMAT,
        "version": VERSION,
        "levels": [{"size": x.size, "word_bits": x.word_bits, "start_bits": x.start_bits} for x in levels],
    }
    words = zlib.compress("\n".join(model.words).encode(), 9)
    arrays = {"header": text_array(json.dumps(header).encode()), "words": text_array(words)}
    for n, level in enumerate(levels, start=1):
        arrays |= {f"{name}{n}": getattr(level, name) for name in ARRAYS}
    store(Path(path), arrays)


def load(path: Path | str) -> NgramModel:
    """Map what `save` wrote. Raises NgramError for anything else."""
    try:
        arrays = mapped(path)
        header = json.loads(bytes(arrays["header"]))
        if header["format"] == FORMAT and header["version"] == 1:
            return _version_1(arrays, header["order"])
        if header["format"] != FORMAT or header["version"] != VERSION:
            raise NgramError(
                f"{path} is version {header['version']} of the {header['format']} format; "
                f"this program reads versions up to {VERSION}: train it anew with `asr lm train`"
            )
        words = zlib.decompress(bytes(arrays["words"])).decode().split("\n")
        levels = [_level(arrays, n, about) for n, about in enumerate(header["levels"], start=1)]
        if not levels or levels[0].size != len(words):
            raise ValueError
        return NgramModel(words, levels)
    except FileNotFoundError:
        raise NgramError(f"there is no language model {path}") from None
    except NgramError:
        raise
    except (*UNREADABLE, OSError, zlib.error):
        raise NgramError(f"{path} is damaged or not a language model of this program") from None


def _version_1(arrays: dict[str, np.ndarray], order: int) -> NgramModel:
    """The model of an older file: compressed, the words of a level as steps, its bytes by place value."""
    levels = []
    for n in range(1, order + 1):
        steps = np.ascontiguousarray(arrays[f"word{n}"].T).view(np.uint32)[:, 0]
        first = np.concatenate([[0], np.cumsum(arrays[f"children{n}"], dtype=np.int64)])
        scores = [arrays[f"{name}{n}"] for name in ("log_prob", "backoff")]
        if n > 1:
            scores = [arrays[f"{name}_table{n}"][s] for name, s in zip(("log_prob", "backoff"), scores)]
        levels.append(Level(np.cumsum(steps, dtype=np.uint32), first, *scores))
    return NgramModel(arrays["words"].tobytes().decode().split("\n"), levels)


def _level(arrays: dict[str, np.ndarray], n: int, about: dict[str, int]) -> PackedLevel:
    """Raises ValueError where the arrays are too short for what is said about them."""
    parts = {name: arrays[f"{name}{n}"] for name in ARRAYS}
    if any(parts[name].dtype != kind or parts[name].ndim != 1 for name, kind in ARRAYS.items()):
        raise ValueError
    if any(len(parts[name]) not in (0, 256) for name in ("prob_table", "backoff_table")):
        raise ValueError
    level = PackedLevel(size=about["size"], word_bits=about["word_bits"], start_bits=about["start_bits"], **parts)
    if not level.whole:
        raise ValueError
    return level
