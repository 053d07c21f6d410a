"""Decoders with attention: what each of them has, and listen, attend and spell, which writes letter after letter.

The next symbol is read from a GRU and from a context vector, the sum of the memory's vectors weighted by how well each
suits the GRU's state before (Bahdanau et al. 2015); the memory may be frames of speech or the symbols of a text.

Of speech (Chan et al. 2016) the memory is the encoder's frames; the network that weighs them sees the decoder's state
before the letter and where it looked so far (Chorowski et al. 2015). Index 0, CTC's blank, begins and ends a text here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from asr.attention.search import EOS, SearchOptions, Written, search
from asr.model.checkpoint import AttentionOptions, ModelOptions
from asr.model.network.recurrent import recurrent
from asr.search.ctc_paths import viterbi
from asr.text import Alphabet

MAX_DISTANCE_S = 2.0  # s: where distances stop to count
CTC_TOLERANCE_FRAMES = 3  # frames: so close to a letter's place in the CTC alignment the decoder is taught to look
IMPOSSIBLE = -1e6  # ln probability of a text where there is no sound


class Memory(NamedTuple):
    """What a decoder keeps of the encoder's output."""

    values: Tensor  # (B, S, memory)
    keys: Tensor  # (B, S, energy)
    inside: Tensor  # (B, S), False beyond the end


class State(NamedTuple):
    """Where a decoder stands: a value, so a search can go on from it twice."""

    hidden: Tensor  # (1, B, H)
    weights: Tensor  # (B, S) of the last symbol
    heard: Tensor  # (B, S), the sum of all weights so far

    def pick(self, rows: Tensor) -> State:
        """The states of some of the batch; rows (n,) are their numbers."""
        return State(self.hidden[:, rows], self.weights[rows], self.heard[rows])


class Decoder(nn.Module):
    """Memory -> the probability of each next symbol, and the part of the memory it rests on."""

    embedding: nn.Embedding  # of the symbol before
    gru: nn.Module  # [symbol before, context] -> hidden
    dropout: nn.Dropout

    def energies(self, memory: Memory, state: State) -> Tensor:
        """How well each part of the memory suits the state (B, S); the weights are its softmax."""
        raise NotImplementedError

    def log_probs(self, read: Tensor) -> Tensor:
        """What ``step`` gave (..., H + memory) -> ln probability of each next symbol, and in column EOS of the end."""
        raise NotImplementedError

    def look(self, memory: Memory, state: State) -> tuple[Tensor, Tensor]:
        """-> weights (B, S), context (B, memory)"""
        weights = self.energies(memory, state).float().masked_fill(~memory.inside, -torch.inf).softmax(-1)
        return weights, (weights[:, None] @ memory.values)[:, 0]

    def step(self, memory: Memory, state: State, before: Tensor) -> tuple[Tensor, State]:
        """The symbol before, embedded (B, embedding) -> what the next is read from (B, H + memory), state."""
        weights, context = self.look(memory, state)
        y, hidden = self.gru(torch.cat([before, context], -1)[:, None], state.hidden)
        return torch.cat([y[:, 0], context], -1), State(hidden, weights, state.heard + weights)

    def read(self, memory: Memory, state: State, before: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: the symbols before (B, U) -> what ``log_probs`` reads (B, U, H + memory), weights."""
        reads, weights = [], []
        for symbol in self.dropout(self.embedding(before)).unbind(1):
            read, state = self.step(memory, state, symbol)
            reads.append(read)
            weights.append(state.weights)
        return torch.stack(reads, 1), torch.stack(weights, 1)


def shifted(texts: list[list[int]], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The symbols (B, U + 1) before each step and after it; -100 after a text's end."""
    rows = [torch.tensor([EOS, *text, EOS], device=device) for text in texts]
    before = nn.utils.rnn.pad_sequence([r[:-1] for r in rows], batch_first=True, padding_value=EOS)
    return before, nn.utils.rnn.pad_sequence([r[1:] for r in rows], batch_first=True, padding_value=-100)


class AttentionDecoder(Decoder):
    """Encoder frames (B, T, size) -> the probability of each next letter, and the frames it rests on."""

    def __init__(
        self,
        size: int,
        alphabet: Alphabet,
        options: AttentionOptions = AttentionOptions(),
        frame_seconds: float = ModelOptions().frame_seconds,
    ):
        super().__init__()
        self.alphabet, self.options, self._frame_seconds = alphabet, options, frame_seconds
        o = options
        self.memory = nn.Linear(size, o.memory)
        self.keys = nn.Linear(o.memory, o.energy)
        self.query = nn.Linear(o.hidden, o.energy, bias=False)
        self.location = nn.Linear(2 * (2 * o.reach + 1) + 2, o.energy, bias=False)
        self.energy = nn.Linear(o.energy, 1, bias=False)
        self.embedding = nn.Embedding(len(alphabet), o.embedding)
        self.gru = recurrent("gru", o.embedding + o.memory, o.hidden)
        self.output = nn.Linear(o.hidden + o.memory, len(alphabet))
        self.dropout = nn.Dropout(o.dropout)

    def remember(self, hidden: Tensor, lengths: Tensor) -> Memory:
        """hidden (B, T, size), T of each."""
        frames = self.dropout(self.memory(hidden))
        inside = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
        return Memory(frames, self.keys(frames), inside)

    def start(self, memory: Memory, batch: int) -> State:
        """The state before the first letter of each of ``batch`` texts: nothing has been looked at."""
        hidden = memory.values.new_zeros(1, batch, self.options.hidden, dtype=torch.float32)
        nowhere = hidden.new_zeros(batch, memory.values.shape[1])
        return State(hidden, nowhere, nowhere)

    def energies(self, memory: Memory, state: State) -> Tensor:
        nearby = self.location(self._nearby(state))
        seen = torch.tanh(memory.keys + self.query(state.hidden[0])[:, None] + nearby)  # (B, S, energy)
        return self.energy(seen)[..., 0]

    def _nearby(self, state: State) -> Tensor:
        """What each frame is told of where the decoder looked (B, T, 2 (2 reach + 1) + 2): the last and the summed
        weights around it, and how many seconds before or after the last focus it lies."""
        both, reach = torch.stack([state.weights, state.heard], 1), self.options.reach
        around = nn.functional.pad(both, (reach, reach)).unfold(2, 2 * reach + 1, 1).transpose(1, 2).flatten(2)
        t = self._frame_seconds * torch.arange(both.shape[2], device=both.device)
        after = (t - (state.weights @ t)[:, None]).clamp(-MAX_DISTANCE_S, MAX_DISTANCE_S)[..., None]  # (B, T, 1)
        return torch.cat([around, after, after.abs()], 2)

    def log_probs(self, read: Tensor) -> Tensor:
        return self.output(self.dropout(read)).float().log_softmax(-1)

    def forward(self, memory: Memory, before: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: the letters before (B, U) -> log-probabilities (B, U, V), weights (B, U, T)."""
        read, weights = self.read(memory, self.start(memory, len(before)), before)
        return self.log_probs(read), weights

    def loss(
        self, hidden: Tensor, lengths: Tensor, letters: list[list[int]], spoken: Sequence[list[int]] = ()
    ) -> Tensor:
        """-ln probability of the letters and the end, a frame, plus the guide's share.

        spoken: the frame at which each letter of a text is said; empty for a text, or for all, where nobody knows.
        """
        before, after = shifted(letters, hidden.device)
        if self.training:
            wrong = torch.rand(before.shape, device=before.device) < self.options.corruption
            before = torch.where(wrong, torch.randint_like(before, 1, len(self.alphabet)), before)
        log_probs, weights = self(self.remember(hidden, lengths), before)
        on_letters = nn.functional.cross_entropy(
            log_probs.flatten(0, 1), after.flatten(), reduction="sum", label_smoothing=self.options.smoothing
        )
        return (on_letters + self.options.guide * _astray(weights, spoken)) / lengths.sum()

    @torch.no_grad()
    def ln_probability(self, hidden: Tensor, texts: list[str]) -> list[float]:
        """ln probability of each text and its end, given the encoder's frames (T, size) of one utterance."""
        if not len(hidden) or not texts:
            return [IMPOSSIBLE if text else 0.0 for text in texts]
        before, after = shifted([self.alphabet.encode(t) for t in texts], hidden.device)
        memory = self.remember(hidden[None], torch.tensor([len(hidden)], device=hidden.device))
        log_probs, _ = self(memory, before)
        found = log_probs.gather(-1, after.clamp(0)[..., None])[..., 0]
        return (found * (after >= 0)).sum(1).tolist()


def _astray(weights: Tensor, spoken: Sequence[list[int]]) -> Tensor:
    """-ln of the weight near the frame where each letter is said, summed: weights (B, U, T)."""
    at = torch.full(weights.shape[:2], -1, device=weights.device)
    for row, frames in zip(at, spoken):
        row[: len(frames)] = torch.tensor(frames, device=at.device)
    t = torch.arange(weights.shape[2], device=weights.device)
    near = (weights * ((t - at[..., None]).abs() <= CTC_TOLERANCE_FRAMES)).sum(-1)
    return -(near + 1e-3).log()[at >= 0].sum()


def letter_frames(log_probs: Tensor, lengths: Tensor, letters: list[list[int]]) -> list[list[int]]:
    """The frame at which CTC hears each letter of each text; none if the text can't be said in so many.

    log_probs (B, T, V), T of each. This teaches the decoder where to look.
    """
    found = []
    for row, n, text in zip(log_probs.detach().cpu().numpy(), lengths.tolist(), letters):
        path, score = viterbi(row[:n], text) if 0 < len(text) <= n else (np.empty(0), -np.inf)
        found.append(np.searchsorted(path, 1 + 2 * np.arange(len(text))).tolist() if score > -np.inf else [])
    return found


@dataclass(frozen=True)
class SpellOptions(SearchOptions):
    """As SearchOptions, with what suits letters."""

    beam: int = 8
    length: float = 0.0
    coverage: float = 0.1
    letters_per_frame: float = 1.0  # at most, of 40 ms


@torch.no_grad()
def spell(
    decoder: AttentionDecoder, hidden: Tensor, options: SpellOptions = SpellOptions(), n_best: int = 1
) -> list[Written]:
    """hidden (T, size), the encoder's frames of one utterance -> the likeliest texts, best first, of a letter at least.

    It is asked where there is speech, and would else stop before the first letter at times.
    """
    if not len(hidden):
        return []
    letters, most = range(1, len(decoder.alphabet)), max(1, int(options.letters_per_frame * len(hidden)))
    return search(_Heard(decoder, hidden), most, options, n_best, lambda so_far: None if so_far else letters)


class _Heard:
    """The decoder at the frames of one utterance (asr.attention.search.Steps)."""

    def __init__(self, decoder: AttentionDecoder, hidden: Tensor):
        self.decoder, self.places = decoder, len(hidden)
        self.memory = decoder.remember(hidden[None], torch.tensor([len(hidden)], device=hidden.device))

    def start(self) -> State:
        return self.decoder.start(self.memory, 1)

    def step(self, state: State, before: Sequence[int]) -> tuple[np.ndarray, np.ndarray, State]:
        symbols = torch.tensor(before, device=self.memory.values.device)
        read, state = self.decoder.step(self.memory, state, self.decoder.embedding(symbols))
        return self.decoder.log_probs(read).cpu().numpy(), state.weights.cpu().numpy(), state

    def pick(self, state: State, rows: list[int]) -> State:
        return state.pick(torch.tensor(rows))
