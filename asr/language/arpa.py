"""Read and write n-gram models as ARPA files, the text format that SRILM, KenLM and others share."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asr.errors import UsageError
from asr.files import atomic_write
from asr.language.ngram import NEVER, SPECIAL, NgramModel
from asr.language.packed import Level

LN10 = math.log(10)
ROUNDING = 1e-3  # a log10 probability above 0 by more is no probability
UNLISTED = -7.0  # log10 probability of <unk> for files that do not list it
BLANKS = " \t\r\n"  # what separates; other white space, as in "new\u00a0york", belongs to words
# by the first bytes of the file
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


def write(model: NgramModel, path: Path | str) -> None:
    contexts = [""]
    with atomic_write(Path(path)) as part, part.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {n}={len(x.word)}\n" for n, x in enumerate(model.levels, start=1))
        for n, level in enumerate(model.levels, start=1):
            file.write(f"\n\\{n}-grams:\n")
            of_context = np.repeat(np.arange(len(contexts)), np.diff(level.first)).tolist()
            texts = [contexts[c] + model.words[w] for c, w in zip(of_context, level.word.tolist())]
            log_probs, backoffs = (level.log_prob / LN10).tolist(), (level.backoff / LN10).tolist()
            if n == model.order:
                file.writelines(f"{p:.6g}\t{t}\n" for p, t in zip(log_probs, texts))
            else:
                file.writelines(f"{p:.6g}\t{t}\t{b:.6g}\n" for p, t, b in zip(log_probs, texts, backoffs))
            contexts = [t + " " for t in texts]
        file.write("\n\\end\\\n")


def read(path: Path | str) -> NgramModel:
    """Read an ARPA file, plain or packed by gzip, bzip2 or xz.

    Raises UsageError, with the place, if it is cut off or contradicts itself.
    """
    try:
        with open(path, "rb") as file:
            opened = COMPRESSED.get(file.read(2), open)
        with opened(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            return _Reader(lines, path).model()
    except FileNotFoundError:
        raise UsageError(f"there is no ARPA file {path}") from None
    except (gzip.BadGzipFile, EOFError, lzma.LZMAError, zlib.error):
        raise UsageError(f"{path} is cut off or damaged: unpack it to see how far it goes") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text: convert it, or check that it is an ARPA file") from None


class _Reader:
    def __init__(self, file: Iterator[str], path: Path | str):
        self._lines = enumerate(file, start=1)
        self._path = path
        self._ids = {special: i for i, special in enumerate(SPECIAL)}
        self._keys: list[np.ndarray] = []  # of each level: place of the context x vocabulary + word, sorted

    def model(self) -> NgramModel:
        for _, line in self._lines:
            if re.sub(r"[ \t]", "", line.strip(BLANKS)).lower() == "\\data\\":
                break
        else:
            fault = f"{self._path} is no ARPA file, it has no line \\data\\"
            raise UsageError(f"{fault}: `asr lm train` makes one from text")
        sizes = self._sizes()
        levels = [self._level(n, size, n == len(sizes)) for n, size in enumerate(sizes, start=1)]
        return NgramModel(list(self._ids), levels)

    def _fail(self, why: str) -> UsageError:
        return UsageError(f"{self._path}: {why}: the ARPA file is cut off or damaged")

    def _next(self) -> tuple[int, str]:
        """The next line that is not empty, and its number."""
        for number, line in self._lines:
            if line := line.strip(BLANKS):
                return number, line if line[0] != "\\" else re.sub(r"[ \t]", "", line).lower()
        raise self._fail("it ends before \\end\\")

    def _sizes(self) -> list[int]:
        sizes: list[int] = []
        while True:
            number, line = self._next()
            if line == "\\1-grams:" and sizes:
                return sizes
            match = re.fullmatch(r"ngram[ \t]+(\d+)[ \t]*=[ \t]*(\d+)", line)
            if not match or int(match[1]) != len(sizes) + 1:
                raise self._fail(f"line {number} should say 'ngram {len(sizes) + 1}=' and a number")
            sizes.append(int(match[2]))

    def _level(self, n: int, size: int, last: bool) -> Level:
        """The n-grams of order n, of which the header promised `size`."""
        ids, log_probs, backoffs = [], [], []
        header = "\\end\\" if last else f"\\{n + 1}-grams:"
        while (numbered := self._next())[1] != header:
            words, log_prob, backoff = self._entry(n, *numbered)
            ids.extend(words)
            log_probs.append(log_prob)
            backoffs.append(backoff)
        if len(log_probs) != size:
            raise self._fail(f"it has {len(log_probs)} {n}-grams and promises {size}")
        scores = np.maximum(np.array([log_probs, backoffs], np.float64).reshape(2, -1) * LN10, NEVER)
        rows = np.array(ids, np.int64).reshape(-1, n)
        if n == 1:  # add those of <unk>, <s>, </s> that the file does not list
            missing = np.setdiff1d(np.arange(len(SPECIAL)), rows)
            extra = np.array([[UNLISTED * LN10, NEVER, NEVER], [0.0, 0.0, 0.0]])[:, missing]
            rows, scores = np.concatenate([rows, missing[:, None]]), np.concatenate([scores, extra], 1)
        return self._sorted(rows, scores.astype(np.float32))

    def _entry(self, n: int, number: int, line: str) -> tuple[list[int], float, float]:
        fields = re.split(r"[ \t]+", line)
        try:
            if len(fields) not in (n + 1, n + 2):
                raise ValueError
            words = [w.lower() if w.lower() in SPECIAL else w for w in fields[1 : n + 1]]  # some write <UNK>
            ids = [self._ids.setdefault(w, len(self._ids)) if n == 1 else self._ids[w] for w in words]
            log_prob, backoff = float(fields[0]), float(fields[n + 1]) if len(fields) == n + 2 else 0.0
            if not (log_prob <= ROUNDING and backoff < math.inf):  # nor NaN
                raise ValueError
            return ids, log_prob, backoff
        except (ValueError, KeyError):
            raise self._fail(f"line {number} is not a {n}-gram of listed words with its numbers") from None

    def _sorted(self, rows: np.ndarray, scores: np.ndarray) -> Level:
        n, size = rows.shape[1], len(self._ids)
        context = np.zeros(len(rows), np.int64)
        for column, keys in zip(rows.T, self._keys):
            key = context * size + column
            context = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            if len(key) and not np.array_equal(keys[context], key):
                raise self._fail(f"a {n}-gram begins with words that are not listed as a {n - 1}-gram")
        keys = context * size + rows[:, -1]
        order = np.argsort(keys, kind="stable")
        if (np.diff(keys[order]) == 0).any():
            raise self._fail(f"a {n}-gram is listed twice")
        contexts = len(self._keys[-1]) if self._keys else 1
        first = np.searchsorted(context[order], np.arange(contexts + 1))
        self._keys.append(keys[order])
        return Level(rows[order, -1].astype(np.uint32), first, *scores[:, order])
