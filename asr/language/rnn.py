"""Scores of texts by the packaged recurrent language model, in numpy: what decoding asks for, with and without torch.

The same weights as asr.language.rnn_network, which trains the model and has every other use of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asr.model.checkpoint import MODELS, damaged, read_weights
from asr.numpy_gru import gru

FORMAT = "asr-rnn-language-model"
PACKAGED = MODELS / "english-rnn.safetensors"  # or not
EOS, UNKNOWN = 0, 1  # the ids of
Tensors = dict[str, np.ndarray]


class RnnScorer:
    """A GRU over words with an adaptive softmax. tensors: the checkpoint's, float32."""

    def __init__(self, tensors: Tensors, options: dict[str, Any], vocabulary: list[str]):
        if (options["cell"], options["unit"]) != ("gru", "word"):
            raise ValueError(f"it has {options['cell']} cells over {options['unit']}s, not GRU cells over words")
        self._ids = {word: i for i, word in enumerate(vocabulary)}
        self._unlisted = math.log(options["unlisted"])  # an unknown word is one of so many, each equally likely
        self._hidden, self._scale = options["hidden"], np.float32(math.sqrt(options["size"]))
        self._softmax = AdaptiveScores(tensors, len(vocabulary), options["bands"])
        self._from_x, self._from_h = (np.ascontiguousarray(tensors[f"layer.weight_{k}_l0"].T) for k in ("ih", "hh"))
        self._bias_x, self._bias_h = tensors["layer.bias_ih_l0"], tensors["layer.bias_hh_l0"]
        self._narrow, self._narrow_bias = tensors["narrow.weight"].T, tensors["narrow.bias"]

    def ln_probability(self, texts: list[str]) -> list[float]:
        """ln probability of each text, its end included; what texts have in common at their beginning costs once."""
        if not texts:
            return []
        rows = [[*(self._ids.get(word, UNKNOWN) for word in text.split()), EOS] for text in texts]
        xs, targets, places = self._prefixes(rows)
        scores = self._softmax.log_prob(xs, targets).tolist()
        return [sum(scores[k] for k in of) - self._unlisted * row.count(UNKNOWN) for row, of in zip(rows, places)]

    def _prefixes(self, rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
        """Every distinct prefix (N) of some rows of ids, read once.

        -> what each prefix's last word is predicted from (N, size), that word, the prefixes of each row.
        """
        levels, places = shared_prefixes(rows)
        given, row_of = self._given({EOS}.union(*rows))
        xs, parents, words, h = [], [0], [EOS], np.zeros((1, self._hidden), np.float32)
        for level in levels:
            h = gru(given[[row_of[word] for word in words]][None], h[parents], self._from_h, self._bias_h)[0]
            parents, words = level
            xs.append(h[parents] @ self._narrow + self._narrow_bias)
        return np.concatenate(xs), np.concatenate([level.tokens for level in levels]), places

    def _given(self, words: set[int]) -> tuple[np.ndarray, dict[int, int]]:
        """What words bring to the gates (N, 3 hidden), each once; the row of each."""
        found = self._scale * self._softmax.embed(np.array([*words])) @ self._from_x + self._bias_x
        return found, {word: i for i, word in enumerate(words)}


class AdaptiveScores:
    """asr.language.rnn_network.AdaptiveSoftmax: the word vectors in bands of rarer and rarer words."""

    def __init__(self, tensors: Tensors, words: int, bands: list[int]):
        t = {name.removeprefix("softmax."): tensor for name, tensor in tensors.items()}
        self._edges = [0, *(b for b in bands if b < words), words]
        self._vectors = [t[f"vectors.{k}"] for k in range(len(self._edges) - 1)]
        self._maps = [t[f"maps.{k}"] for k in range(len(self._vectors) - 1)]
        self._head = np.concatenate([self._vectors[0], t["later"]]).T
        self._head_bias = np.concatenate([t["bias"][: self._edges[1]], t["later_bias"]])
        self._bias = t["bias"]

    def embed(self, ids: np.ndarray) -> np.ndarray:
        """ids (N,) -> vectors (N, size)"""
        found = self._vectors[0][np.minimum(ids, self._edges[1] - 1)]
        for k, (at, within) in self._later(ids):
            found[at] = self._vectors[k][within] @ self._maps[k - 1].T
        return found

    def log_prob(self, x: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """x (N, size), ids (N,) -> ln probability of each (N,)"""
        entries, scores = ids.copy(), np.zeros(len(ids), np.float32)
        for k, (at, within) in self._later(ids):
            entries[at] = self._edges[1] + k - 1
            bias = self._bias[self._edges[k] : self._edges[k + 1]]
            scores[at] = _chosen(x[at] @ self._maps[k - 1] @ self._vectors[k].T + bias, within)
        return scores + _chosen(x @ self._head + self._head_bias, entries)

    def _later(self, ids: np.ndarray) -> list[tuple[int, tuple[np.ndarray, np.ndarray]]]:
        """The bands after the first that ids are in: which of them, and their place in it."""
        bands = np.searchsorted(self._edges, ids, side="right") - 1
        inside = ((k, np.flatnonzero(bands == k)) for k in range(1, len(self._vectors)))
        return [(k, (at, ids[at] - self._edges[k])) for k, at in inside if len(at)]


def _chosen(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """logits (N, V), ids (N,) -> ln probability of each (N,)"""
    highest = logits.max(1)
    total = np.log(np.exp(logits - highest[:, None]).sum(1))
    return logits[np.arange(len(ids)), ids] - highest - total


class PrefixLevel(NamedTuple):
    """The distinct prefixes of one length: each is one of the level before and a token more."""

    parents: list[int]  # places in the level before; the first level's parent is 0, the empty prefix
    tokens: list[int]


def shared_prefixes(rows: Sequence[list[int]]) -> tuple[list[PrefixLevel], list[list[int]]]:
    """Rows of ids -> the distinct prefixes by length, from 1; of each row, where its prefixes stand in all levels."""
    levels: list[PrefixLevel] = []
    at, places, before = [0] * len(rows), [[] for _ in rows], 0
    for t in range(max(map(len, rows))):
        going = [i for i, row in enumerate(rows) if t < len(row)]
        numbers = {pair: k for k, pair in enumerate(dict.fromkeys((at[i], rows[i][t]) for i in going))}
        for i in going:
            at[i] = numbers[at[i], rows[i][t]]
            places[i].append(before + at[i])
        levels.append(PrefixLevel([parent for parent, _ in numbers], [token for _, token in numbers]))
        before += len(numbers)
    return levels, places


def load(path: Path = PACKAGED) -> RnnScorer:
    """Raises asr.model.checkpoint.CheckpointError."""
    weights, head = read_weights(path, FORMAT, "recurrent language model")
    try:
        tensors = {name: weight.astype(np.float32, copy=False) for name, weight in weights.items()}
        return RnnScorer(tensors, json.loads(head["options"]), json.loads(head["vocabulary"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
