"""Listen, attend and spell: a decoder that writes letter after letter and looks where it will (Chan et al. 2016).

A context vector is the sum of the encoder's frames, weighted by a small network that sees the decoder's
state before the letter (Bahdanau et al. 2015) and where it looked so far (Chorowski et al. 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from asr.model.interface import FRAME_SECONDS
from asr.model.network.recurrent import recurrent
from asr.model.options import AttentionOptions
from asr.search.ctc_paths import viterbi
from asr.text import BLANK, Alphabet

EOS = BLANK  # this decoder needs no blank: index 0 begins and ends a text
MAX_DISTANCE_S = 2.0  # s: where distances stop to count
CTC_TOLERANCE_FRAMES = 3  # frames: so close to a letter's place in the CTC alignment the decoder is taught to look
IMPOSSIBLE = -1e6  # ln probability of a text where there is no sound


class Memory(NamedTuple):
    """What the decoder keeps of the encoder's output."""

    frames: Tensor  # (B, T, memory)
    keys: Tensor  # (B, T, energy)
    inside: Tensor  # (B, T), False beyond an utterance's end


class State(NamedTuple):
    """Where the decoder stands: a value, so a search can go on from it twice."""

    hidden: Tensor  # (1, B, H)
    weights: Tensor  # (B, T) of the last letter
    heard: Tensor  # (B, T), the sum of all weights so far

    def pick(self, rows: Tensor) -> State:
        """The states of some of the batch; rows (n,) are their numbers."""
        return State(self.hidden[:, rows], self.weights[rows], self.heard[rows])


class AttentionDecoder(nn.Module):
    """Encoder frames (B, T, size) -> the probability of each next letter, and the frames it rests on."""

    def __init__(self, size: int, alphabet: Alphabet, options: AttentionOptions = AttentionOptions()):
        super().__init__()
        self.alphabet, self.options = alphabet, options
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
        hidden = memory.frames.new_zeros(1, batch, self.options.hidden, dtype=torch.float32)
        nowhere = hidden.new_zeros(batch, memory.frames.shape[1])
        return State(hidden, nowhere, nowhere)

    def step(self, memory: Memory, state: State, before: Tensor) -> tuple[Tensor, State]:
        """The letter before, embedded (B, embedding) -> what the next letter is read from (B, H + memory), state."""
        nearby = self.location(self._nearby(state))
        seen = torch.tanh(memory.keys + self.query(state.hidden[0])[:, None] + nearby)  # (B, T, energy)
        energies = self.energy(seen)[..., 0].float().masked_fill(~memory.inside, -torch.inf)
        weights = energies.softmax(-1)
        context = (weights[:, None] @ memory.frames)[:, 0]  # (B, memory)
        y, hidden = self.gru(torch.cat([before, context], -1)[:, None], state.hidden)
        return torch.cat([y[:, 0], context], -1), State(hidden, weights, state.heard + weights)

    def _nearby(self, state: State) -> Tensor:
        """What each frame is told of where the decoder looked (B, T, 2 (2 reach + 1) + 2): the last and the summed
        weights around it, and how many seconds before or after the last focus it lies."""
        both, reach = torch.stack([state.weights, state.heard], 1), self.options.reach
        around = nn.functional.pad(both, (reach, reach)).unfold(2, 2 * reach + 1, 1).transpose(1, 2).flatten(2)
        t = FRAME_SECONDS * torch.arange(both.shape[2], device=both.device)
        after = (t - (state.weights @ t)[:, None]).clamp(-MAX_DISTANCE_S, MAX_DISTANCE_S)[..., None]  # (B, T, 1)
        return torch.cat([around, after, after.abs()], 2)

    def log_probs(self, read: Tensor) -> Tensor:
        """What ``step`` gave (..., H + memory) -> ln probability of each next letter, and in column EOS of the end."""
        return self.output(self.dropout(read)).float().log_softmax(-1)

    def forward(self, memory: Memory, before: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: the letters before (B, U) -> log-probabilities (B, U, V), weights (B, U, T)."""
        embedded, state = self.dropout(self.embedding(before)), self.start(memory, len(before))
        reads, weights = [], []
        for letter in embedded.unbind(1):
            read, state = self.step(memory, state, letter)
            reads.append(read)
            weights.append(state.weights)
        return self.log_probs(torch.stack(reads, 1)), torch.stack(weights, 1)

    def loss(
        self, hidden: Tensor, lengths: Tensor, letters: list[list[int]], spoken: Sequence[list[int]] = ()
    ) -> Tensor:
        """-ln probability of the letters and the end, a frame, plus the guide's share.

        spoken: the frame at which each letter of a text is said; empty for a text, or for all, where nobody knows.
        """
        before, after = _shifted(letters, hidden.device)
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
        before, after = _shifted([self.alphabet.encode(t) for t in texts], hidden.device)
        memory = self.remember(hidden[None], torch.tensor([len(hidden)], device=hidden.device))
        log_probs, _ = self(memory, before)
        found = log_probs.gather(-1, after.clamp(0)[..., None])[..., 0]
        return (found * (after >= 0)).sum(1).tolist()

    @torch.no_grad()
    def greedy(self, hidden: Tensor, lengths: Tensor) -> list[list[int]]:
        """The likeliest letter, again and again, of each utterance: at most one a frame."""
        memory, letters = self.remember(hidden, lengths), [[] for _ in lengths]
        state, before = self.start(memory, len(hidden)), torch.full((len(hidden),), EOS, device=hidden.device)
        ended = lengths.cpu() == 0
        for count in range(1, hidden.shape[1] + 1):
            read, state = self.step(memory, state, self.embedding(before))
            before = self.log_probs(read).argmax(-1)
            ended |= before.cpu() == EOS
            if ended.all():
                break
            for i in (~ended).nonzero()[:, 0].tolist():
                letters[i].append(int(before[i]))
            ended |= lengths.cpu() <= count
        return letters


def _shifted(letters: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """The letters (B, U + 1) before each step and after it; -100 after a text's end."""
    rows = [torch.tensor([EOS, *text, EOS], device=device) for text in letters]
    before = nn.utils.rnn.pad_sequence([r[:-1] for r in rows], batch_first=True, padding_value=EOS)
    return before, nn.utils.rnn.pad_sequence([r[1:] for r in rows], batch_first=True, padding_value=-100)


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
