"""The encoder-decoder of asr.attention.seq2seq as a torch network, for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from asr.attention.decoder import Decoder, Memory, State, shifted
from asr.attention.search import EOS
from asr.attention.seq2seq import BEGIN, FORMAT, SPECIAL, UNKNOWN, Seq2Seq, Seq2SeqOptions, Vocabulary
from asr.errors import Error
from asr.model.checkpoint import write_weights
from asr.model.network.recurrent import LatencyControlled, recurrent
from asr.text import learn_pieces


class TextDecoder(Decoder):
    """Memory and a first state -> the probability of each next symbol; its vectors are those that it reads by."""

    def __init__(self, options: Seq2SeqOptions, symbols: int):
        super().__init__()
        self.options, o = options, options
        self.memory = 0 if o.attention == "none" else 2 * o.hidden
        self.embedding = nn.Embedding(symbols, o.embedding)
        self.gru = recurrent("gru", o.embedding + self.memory, o.hidden)
        self.narrow = nn.Linear(o.hidden + self.memory, o.embedding)
        self.bias = nn.Parameter(torch.zeros(symbols))
        self.dropout = nn.Dropout(o.dropout)
        if o.attention == "additive":
            self.query = nn.Linear(o.hidden, o.energy, bias=False)
            self.energy = nn.Linear(o.energy, 1, bias=False)
        if o.attention != "none":
            self.keys = nn.Linear(self.memory, o.energy if o.attention == "additive" else o.hidden)
        nn.init.normal_(self.embedding.weight, std=o.embedding**-0.5)

    def remember(self, x: Tensor, inside: Tensor) -> Memory:
        """The encoder's output (B, S, 2H), and which of it there is (B, S)."""
        if self.options.attention == "none":
            return Memory(x[..., :0], x[..., :0], inside)
        return Memory(x, self.keys(x), inside)

    def energies(self, memory: Memory, state: State) -> Tensor:
        if self.options.attention == "none":  # all the same: there is nothing to look at
            return memory.keys.sum(-1)
        if self.options.attention == "dot":
            return (memory.keys @ state.hidden[0][..., None].to(memory.keys.dtype))[..., 0] / self.options.hidden**0.5
        return self.energy(torch.tanh(memory.keys + self.query(state.hidden[0])[:, None]))[..., 0]

    def logits(self, read: Tensor) -> Tensor:
        """What ``step`` gave (..., H + memory) -> (..., V), up to a constant ln probability."""
        return self.dropout(torch.tanh(self.narrow(read))) @ self.embedding.weight.T + self.bias

    def log_probs(self, read: Tensor) -> Tensor:
        return self.logits(read).float().log_softmax(-1)


class Seq2SeqNetwork(nn.Module):
    """Texts of one vocabulary to texts of another."""

    def __init__(self, options: Seq2SeqOptions, source: Vocabulary, target: Vocabulary):
        super().__init__()
        self.options, self.source, self.target, o = options, source, target, options
        self.embedding = nn.Embedding(len(source), o.embedding)
        sizes = [o.embedding] + [2 * o.hidden] * (o.layers - 1)
        self.encoder = nn.ModuleList(LatencyControlled("gru", size, o.hidden) for size in sizes)
        self.bridge = nn.Linear(2 * o.hidden, o.hidden)
        self.decoder = TextDecoder(options, len(target))
        self.dropout = nn.Dropout(o.dropout)
        nn.init.normal_(self.embedding.weight, std=o.embedding**-0.5)

    def encode(self, ids: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """ids (B, S) with EOS at the end, S of each -> what the decoder looks at, and its state at the start."""
        x, size = self.dropout(self.embedding(ids)), self.options.hidden
        for number, layer in enumerate(self.encoder):
            x, _ = layer((self.dropout(x) if number else x)[:, None], lengths[:, None], ids.shape[1], last=True)
            x = x[:, 0]  # (B, S, 2H)
        ends = torch.cat([x[torch.arange(len(x)), lengths - 1, :size], x[:, 0, size:]], -1)
        start = torch.tanh(self.bridge(ends)).float()[None]
        nowhere = start.new_zeros(ids.shape)
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return self.decoder.remember(self.dropout(x), inside), State(start, nowhere, nowhere)

    def forward(self, ids: Tensor, lengths: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: sources (B, S), S of each, targets before each step (B, U).

        -> what ``decoder.logits`` reads (B, U, H + memory), weights (B, U, S)
        """
        memory, state = self.encode(ids, lengths)
        return self.decoder.read(memory, state, before)

    def loss(self, ids: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
        """Mean -ln probability of a target symbol, the ends among them; smoothed and with dropout while training."""
        before, after = shifted(targets, ids.device)
        if self.training:
            ids = ids.masked_fill((torch.rand(ids.shape) < self.options.forget) & (ids != EOS), UNKNOWN)
        read, _ = self(ids, lengths, before)
        asked = after >= 0
        logits, smoothing = self.decoder.logits(read[asked]).float(), self.options.smoothing if self.training else 0.0
        return nn.functional.cross_entropy(logits, after[asked], label_smoothing=smoothing)

    def numpy(self) -> Seq2Seq:
        """The same model without torch."""
        weights = {name: weight.detach().cpu().numpy() for name, weight in self.state_dict().items()}
        return Seq2Seq(self.options, self.source, self.target, weights)

    def save(self, path: Path | str, card: dict) -> None:
        """Write a checkpoint for asr.attention.seq2seq, fp16, whole or not at all."""
        sides = {name: (v.symbols[2:], v.scores) for name, v in (("source", self.source), ("target", self.target))}
        head = {"format": FORMAT, "options": asdict(self.options), "card": card}
        write_weights(self.state_dict(), Path(path), True, head | sides)


def characters(texts: Iterable[str], least: int = 1) -> Vocabulary:
    """The characters that are in texts so often at least, the most frequent first."""
    counts = Counter(chain.from_iterable(texts))
    return Vocabulary([c for c, n in counts.most_common() if n >= least])


def subwords(texts: Iterable[str], size: int) -> Vocabulary:
    """At most ``size`` pieces of words, learnt by sentencepiece; all characters among them. Raises asr.errors.Error."""
    words = [BEGIN + word for text in texts for word in text.split()]
    letters = sorted({c for word in words for c in word})
    if size < 2 * len(letters) or not words:
        raise Error(f"{size} subwords of {len(words)} words are too few: take {max(2, 2 * len(letters))} or more")
    scores = learn_pieces(words, size - len(SPECIAL), letters, longest=16)
    return Vocabulary(list(scores), list(scores.values()))
