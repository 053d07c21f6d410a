"""The recurrent language model (Mikolov et al. 2010): words or characters, scored many texts at a time.

A text is read as <eos>, its tokens; every token and the <eos> after the last one is predicted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.language.rnn import EOS, FORMAT, PACKAGED, UNKNOWN
from asr.model.checkpoint import CheckpointError, damaged, read_weights, write_weights
from asr.model.network.ctc import tensors
from asr.model.network.recurrent import State, recurrent

NARROWEST = 16  # a vector's elements
ROWS = 64  # texts that are read together
STEP = 128  # of the rows of a product: oneDNN compiles another one for every size
SPECIAL = ("<eos>", "<unk>")


class AdaptiveSoftmax(nn.Module):
    """Word vectors that serve as input and as output, cut into bands by frequency (Grave et al. 2017; Press & Wolf
    2017; Baevski & Auli 2019).

    Ids count from the most frequent word. Each band's vectors are half as wide as those of the band before. The
    first band's softmax also holds one entry for each later band, whose own softmax is only computed for words
    in it: frequent words cost little, rare ones little memory. With no bands it is the plain softmax.
    """

    def __init__(self, words: int, size: int, bands: tuple[int, ...] = ()):
        """bands: ids at which a new band begins; those beyond the vocabulary are left out."""
        super().__init__()
        self.size = size
        self.edges = [0, *(b for b in bands if b < words), words]
        counts = [end - start for start, end in zip(self.edges, self.edges[1:])]
        widths = [max(NARROWEST, size >> k) if k else size for k in range(len(counts))]
        self.vectors = nn.ParameterList(torch.randn(n, w) * w**-0.5 for n, w in zip(counts, widths))
        self.maps = nn.ParameterList(torch.randn(size, w) * size**-0.5 for w in widths[1:])
        self.bias = nn.Parameter(torch.zeros(words))
        self.later = nn.Parameter(torch.randn(len(widths) - 1, size) * size**-0.5)  # each later band's entry
        self.later_bias = nn.Parameter(torch.zeros(len(widths) - 1))

    def embed(self, ids: Tensor) -> Tensor:
        """ids (...) -> vectors (..., size), elements of variance about 1."""
        flat = ids.flatten()
        first = F.embedding(flat.clamp(max=self.edges[1] - 1), self.vectors[0])
        for k in range(1, len(self.vectors)):
            at = self._rows(flat, k)
            rare = F.embedding(flat[at] - self.edges[k], self.vectors[k]) @ self.maps[k - 1].t()
            first = first.index_copy(0, at, rare.to(first.dtype))
        return first.view(*ids.shape, self.size) * self.size**0.5

    def log_prob(self, x: Tensor, targets: Tensor) -> Tensor:
        """x (N, size), ids (N,) -> ln probability of each (N,)."""
        entry, within = targets.clone(), x.new_zeros(len(x), dtype=torch.float)
        for k in range(1, len(self.vectors)):
            at = self._rows(targets, k)
            entry[at] = self.edges[1] + k - 1
            logits = self._logits(in_steps(x[at]), k)[: len(at)].float()
            within = within.index_add(0, at, -F.cross_entropy(logits, targets[at] - self.edges[k], reduction="none"))
        return within - F.cross_entropy(self._head(in_steps(x))[: len(x)].float(), entry, reduction="none")

    def all_log_probs(self, x: Tensor) -> Tensor:
        """x (N, size) -> ln probability of every word (N, words)."""
        head = self._head(x).float().log_softmax(-1)
        n = self.edges[1]
        within = [self._logits(x, k).float().log_softmax(-1) for k in range(1, len(self.vectors))]
        return torch.cat([head[:, :n], *(band + entry[:, None] for band, entry in zip(within, head[:, n:].T))], -1)

    def _rows(self, ids: Tensor, band: int) -> Tensor:
        return ((ids >= self.edges[band]) & (ids < self.edges[band + 1])).nonzero()[:, 0]

    def _head(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.bias[: self.edges[1]], self.later_bias])
        return F.linear(x, torch.cat([self.vectors[0], self.later]), bias)

    def _logits(self, x: Tensor, band: int) -> Tensor:
        bias = self.bias[self.edges[band] : self.edges[band + 1]]
        return F.linear(x @ self.maps[band - 1], self.vectors[band], bias)


def in_steps(x: Tensor) -> Tensor:
    """(N, D) with rows of zeros up to a multiple of STEP."""
    return F.pad(x, (0, 0, 0, -len(x) % STEP))


@dataclass(frozen=True)
class LanguageOptions:
    """What rebuilds a recurrent language model: its cell, its unit, and the sizes of its layers."""

    cell: str = "gru"  # gru, lstm (with forget gate) or peephole (LSTM whose gates see the cell)
    unit: str = "word"  # what a token is: word or character
    size: int = 192  # of a token's vector
    hidden: int = 384  # of the recurrent layer
    bands: tuple[int, ...] = (2000, 8000)  # ranks of tokens from which vectors are half as wide
    unlisted: int = 1  # distinct words of the training text that are <unk>, each equally likely


class RnnLanguageModel(nn.Module):
    """A network, and what asr.language.open.Language asks of it.

    vocabulary: the tokens by id, <eos> and <unk> first, then from the most frequent.
    """

    end = EOS

    def __init__(self, options: LanguageOptions, vocabulary: list[str]):
        super().__init__()
        if options.unit not in ("word", "character"):
            raise ValueError(f"no unit called {options.unit!r}: choose word or character")
        self.options, self.vocabulary = options, list(vocabulary)
        self._ids = {token: i for i, token in enumerate(self.vocabulary) if token not in SPECIAL}
        self.softmax = AdaptiveSoftmax(len(vocabulary), options.size, options.bands)
        self.layer = recurrent(options.cell, options.size, options.hidden)
        self.narrow = nn.Linear(options.hidden, options.size)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """ids (B, T), state or None -> what the softmax predicts the next tokens from (B, T, size), state."""
        y, state = self.layer(self.softmax.embed(ids), state)
        return self.narrow(y), state

    def loss(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (B, T + 1) with <eos> at both ends, tokens to predict (B,) -> mean -ln probability."""
        x, _ = self(ids[:, :-1])
        asked = torch.arange(x.shape[1]) < lengths[:, None]
        return -self.softmax.log_prob(x[asked], ids[:, 1:][asked]).mean()

    def tokens(self, text: str) -> list[str]:
        return text.split() if self.options.unit == "word" else list(text)

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(token, UNKNOWN) for token in self.tokens(text)]

    def knows(self, token: str) -> bool:
        return token in self._ids

    def join(self, ids: Sequence[int]) -> str:
        return (" " if self.options.unit == "word" else "").join(self.vocabulary[i] for i in ids)

    def ln_probability(self, texts: Sequence[str]) -> list[float]:
        """ln probability of each text, its end included; unknown words count as <unk>."""
        return [sum(scores) for scores in self.ln_probabilities(texts)]

    @torch.inference_mode()
    def ln_probabilities(self, texts: Sequence[str], unlisted: int = 1) -> list[list[float]]:
        """Of each text those of its tokens and of its end; an unknown one is one of `unlisted` equally likely ones."""
        found: list[list[float]] = []
        for start in range(0, len(texts), ROWS):
            rows = [[EOS, *self.encode(text), EOS] for text in texts[start : start + ROWS]]
            ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=EOS)
            x, _ = self(ids[:, :-1])
            asked = torch.arange(x.shape[1]) < torch.tensor([len(row) - 1 for row in rows])[:, None]
            scores = torch.zeros(asked.shape)
            scores[asked] = self.softmax.log_prob(x[asked], ids[:, 1:][asked])
            for row, of_row in zip(rows, scores.tolist()):
                found.append([p - math.log(unlisted) * (i == UNKNOWN) for i, p in zip(row[1:], of_row)])
        return found

    def start(self) -> tuple[Tensor, State]:
        return self.after(None, EOS)

    @torch.inference_mode()
    def distribution(self, state: tuple[Tensor, State]) -> np.ndarray:
        found = self.softmax.all_log_probs(state[0])[0].numpy().astype(np.float64)
        found[UNKNOWN] = -np.inf
        return found

    @torch.inference_mode()
    def after(self, state: tuple[Tensor, State] | None, token: int) -> tuple[Tensor, State]:
        """-> what the next token is predicted from (1, size), and the network's state."""
        x, following = self(torch.tensor([[token]]), state[1] if state else None)
        return x[:, 0], following


def perplexity(model: RnnLanguageModel, texts: list[str]) -> float:
    """Perplexity a token; the ends of texts count, and unknown words do as <unk>."""
    tokens = sum(len(model.tokens(text)) + 1 for text in texts)
    return math.exp(-sum(model.ln_probability(sorted(texts, key=len))) / tokens) if tokens else math.nan


def save(model: RnnLanguageModel, path: Path | str, card: dict, half: bool = True) -> None:
    """Write a checkpoint, whole or not at all; ``half`` stores fp16."""
    head = {"format": FORMAT, "options": asdict(model.options), "vocabulary": model.vocabulary, "card": card}
    write_weights(model.state_dict(), Path(path), half, head)


def load(path: Path | str = PACKAGED) -> RnnLanguageModel:
    """The model in evaluation mode. Raises asr.model.checkpoint.CheckpointError."""
    if not Path(path).is_file():
        raise CheckpointError(f"there is no language model {path}")
    weights, head = read_weights(Path(path), FORMAT, "recurrent language model")
    try:
        options = json.loads(head["options"])
        options["bands"] = tuple(options["bands"])
        model = RnnLanguageModel(LanguageOptions(**options), json.loads(head["vocabulary"]))
        model.load_state_dict(tensors(weights))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise damaged(Path(path), error) from None
    return model.eval()
