"""Text to text by an encoder-decoder with attention (Bahdanau et al. 2015), in numpy: dates, numbers, translations.

A two-way GRU reads the symbols of the source. A GRU writes those of the target, one after the other; before each it
looks at what the encoder made of each source symbol, as `attention` says: "additive" (a small network compares), "dot"
(a scaled product, Luong et al. 2015), or "none": then all it knows of the source is the encoder's last state (Cho et
al. 2014). recipes.translation.network is the same in torch, to be trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.attention.search import EOS, SearchOptions, Written, search
from asr.model.checkpoint import CheckpointError, damaged, read_weights
from asr.numpy_gru import gru
from asr.text import segmented

FORMAT = "asr-seq2seq"
UNKNOWN = 1  # the number of every symbol that the vocabulary lacks
SPECIAL = ("", "<unk>")  # the end of a text, as EOS; an unknown symbol
BEGIN = "\u2581"  # what sentencepiece puts where a word begins
KINDS = "additive", "dot", "none"
MORE_SYMBOLS, MOST_TIMES = 10, 2  # a target has at most twice the symbols of its source, and ten

# the symbols so far -> those that may be next ("": the end), or all
Next = Callable[[list[str]], Collection[str] | None]


class Vocabulary:
    """Symbols and their numbers. scores: ln probability of each, where the symbols are pieces of words.

    Longer symbols than characters that have no scores stand in a text with spaces between.
    """

    def __init__(self, symbols: Sequence[str], scores: Sequence[float] = ()):
        self.symbols, self.scores = [*SPECIAL, *symbols], list(scores)
        self._numbers = {symbol: i for i, symbol in enumerate(self.symbols)}
        self._pieces = dict(zip(symbols, scores, strict=True)) if scores else {}
        self._spaced = not scores and any(len(symbol) > 1 for symbol in symbols)
        self._longest = max(map(len, symbols), default=1)
        self._known: dict[str, tuple[str, ...]] = {}  # words that were cut before

    def __len__(self) -> int:
        return len(self.symbols)

    def split(self, text: str) -> list[str]:
        """A text -> its symbols; among them may be some that have no number of their own. Pieces heed no double space.

        Every text is its symbols, joined.
        """
        if not self._pieces:
            return text.split() if self._spaced else list(text)
        return list(chain.from_iterable(map(self._cut, text.split())))

    def _cut(self, word: str) -> tuple[str, ...]:
        if word not in self._known:
            self._known[word] = segmented(BEGIN + word, self._pieces, self._longest)
        return self._known[word]

    def ids(self, symbols: Iterable[str]) -> list[int]:
        """Their numbers, UNKNOWN for those that have none."""
        return [self._numbers.get(symbol, UNKNOWN) for symbol in symbols]

    def join(self, symbols: Iterable[str]) -> str:
        """What ``split`` took apart."""
        text = (" " if self._spaced else "").join(symbols)
        return text.replace(BEGIN, " ").strip() if self._pieces else text


@dataclass(frozen=True)
class Seq2SeqOptions:
    """Sizes of an encoder-decoder, and how it is trained. Raises ValueError."""

    attention: str = "additive"  # or dot, none
    embedding: int = 256  # size of a symbol's vector
    hidden: int = 256  # units of the decoder's GRU and of each direction of the encoder's
    layers: int = 1  # of the encoder
    energy: int = 128  # units of the network that compares, where attention is additive
    dropout: float = 0.2
    smoothing: float = 0.1  # of the target symbols in training
    forget: float = 0.02  # share of source symbols that are made unknown in training

    def __post_init__(self):
        if self.attention not in KINDS:
            raise ValueError(f"no attention called {self.attention!r}: choose from {', '.join(KINDS)}")


@dataclass(frozen=True)
class Output:
    """A text that a model has written, and where it looked."""

    text: str
    score: float  # ln probability, divided by a power of the number of symbols
    ln_probability: float  # of the symbols and the end
    symbols: list[str]  # "" is the end
    source: list[str]  # as they were read, "" at the end
    map: np.ndarray | None  # (symbols, source) weights; None without attention


class Memory(NamedTuple):
    """What the encoder made of a source of S symbols."""

    values: np.ndarray  # (S, 2H)
    keys: np.ndarray  # (S, energy)
    start: np.ndarray  # (H,), the decoder's state before the first symbol


class Seq2Seq:
    """A trained encoder-decoder; weights by the names of recipes.translation.network."""

    def __init__(
        self,
        options: Seq2SeqOptions,
        source: Vocabulary,
        target: Vocabulary,
        weights: dict[str, np.ndarray],
        card: dict | None = None,
    ):
        self.options, self.source, self.target, self.card = options, source, target, card or {}
        w = self._w = {name: np.asarray(weight, np.float32) for name, weight in weights.items()}
        self._t = {name: np.ascontiguousarray(weight.T) for name, weight in w.items() if weight.ndim == 2}
        if self._t["decoder.embedding.weight"].shape[1] != len(target) or len(w["embedding.weight"]) != len(source):
            raise ValueError("its vocabularies have not as many symbols as it has weights for")

    @classmethod
    def load(cls, path: Path | str) -> Seq2Seq:
        """Raises asr.model.checkpoint.CheckpointError."""
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"there is no model {path}")
        weights, head = read_weights(path, FORMAT, "encoder-decoder for text")
        try:
            options = Seq2SeqOptions(**json.loads(head["options"]))
            source, target = (Vocabulary(*json.loads(head[side])) for side in ("source", "target"))
            return cls(options, source, target, weights, json.loads(head["card"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, error) from None

    def __call__(
        self, text: str, options: SearchOptions = SearchOptions(), n_best: int = 1, allowed: Next | None = None
    ) -> list[Output]:
        """The likeliest targets, best first; none where ``allowed`` lets no target end."""
        symbols = [*self.source.split(text), ""]
        memory, most = self.encode(self.source.ids(symbols)), MOST_TIMES * len(symbols) + MORE_SYMBOLS

        def by_number(so_far: tuple[int, ...]) -> Collection[int] | None:
            may = allowed([self.target.symbols[i] for i in so_far]) if allowed else None
            return None if may is None else set(self.target.ids(may))

        found = search(_Steps(self, memory), most, options, n_best, by_number if allowed else None)
        return [self._output(w, symbols) for w in found]

    def ln_probability(self, text: str, outputs: Sequence[str]) -> list[float]:
        """Of each of some targets, the end included, given the source."""
        memory, found = self.encode(self.source.ids([*self.source.split(text), ""])), []
        for output in outputs:
            steps, total = _Steps(self, memory), 0.0
            state, before = steps.start(), EOS
            for symbol in [*self.target.ids(self.target.split(output)), EOS]:
                log_probs, _, state = steps.step(state, [before])
                total, before = total + float(log_probs[0, symbol]), symbol
            found.append(total)
        return found

    def encode(self, ids: Sequence[int]) -> Memory:
        """The numbers of a source's symbols (S)."""
        w, t, x = self._w, self._t, self._w["embedding.weight"][list(ids)]
        for layer in range(self.options.layers):
            both, nothing = [], np.zeros(self.options.hidden, np.float32)
            for way, order in (("forwards", slice(None)), ("backwards", slice(None, None, -1))):
                name = f"encoder.{layer}.{way}."
                given = x[order] @ t[name + "weight_ih_l0"] + w[name + "bias_ih_l0"]
                both.append(gru(given, nothing, t[name + "weight_hh_l0"], w[name + "bias_hh_l0"])[order])
            x = np.concatenate(both, 1)
        ends = np.concatenate([both[0][-1], both[1][0]])
        start = np.tanh(ends @ t["bridge.weight"] + w["bridge.bias"])
        if self.options.attention == "none":
            return Memory(np.zeros((len(x), 0), np.float32), np.zeros((len(x), 0), np.float32), start)
        return Memory(x, x @ t["decoder.keys.weight"] + w["decoder.keys.bias"], start)

    def step(self, memory: Memory, h: np.ndarray, before: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States (N, H), the symbols before (N) -> ln probability of the next (N, V), weights (N, S), states."""
        w, t = self._w, self._t
        weights = self._look(memory, h)
        given = np.concatenate([w["decoder.embedding.weight"][list(before)], weights @ memory.values], 1)
        given = given @ t["decoder.gru.weight_ih_l0"] + w["decoder.gru.bias_ih_l0"]
        h = gru(given[None], h, t["decoder.gru.weight_hh_l0"], w["decoder.gru.bias_hh_l0"])[0]
        read = np.concatenate([h, weights @ memory.values], 1) @ t["decoder.narrow.weight"] + w["decoder.narrow.bias"]
        logits = np.tanh(read) @ t["decoder.embedding.weight"] + w["decoder.bias"]
        logits -= logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True)), weights, h

    def _look(self, memory: Memory, h: np.ndarray) -> np.ndarray:
        """States (N, H) -> weights (N, S); zeros without attention."""
        if self.options.attention == "none":
            return np.zeros((len(h), len(memory.keys)), np.float32)
        if self.options.attention == "dot":
            energies = h @ memory.keys.T / np.float32(np.sqrt(self.options.hidden))
        else:
            seen = np.tanh(memory.keys + (h @ self._t["decoder.query.weight"])[:, None])
            energies = (seen @ self._t["decoder.energy.weight"])[..., 0]
        energies = np.exp(energies - energies.max(1, keepdims=True))
        return energies / energies.sum(1, keepdims=True)

    def _output(self, written: Written, source: list[str]) -> Output:
        """An unknown symbol becomes the one of the source that the decoder looked at most, or nothing."""
        looks = written.map if self.options.attention != "none" else None
        symbols = [*(self.target.symbols[i] for i in written.symbols), SPECIAL[EOS]]
        for at, number in enumerate(written.symbols):
            if number == UNKNOWN:
                symbols[at] = "" if looks is None else source[int(looks[at].argmax())]
        return Output(self.target.join(symbols), written.score, written.ln_probability, symbols, source, looks)


class _Steps:
    """The decoder at one source (asr.attention.search.Steps)."""

    def __init__(self, model: Seq2Seq, memory: Memory):
        self.model, self.memory, self.places = model, memory, len(memory.keys)

    def start(self) -> np.ndarray:
        return self.memory.start[None]

    def step(self, state: np.ndarray, before: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.model.step(self.memory, state, before)

    def pick(self, state: np.ndarray, rows: list[int]) -> np.ndarray:
        return state[rows]
