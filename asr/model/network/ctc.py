"""The acoustic model as a torch network, and its file: front-end, encoder, CTC heads, loss (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio.features import LogMel
from asr.model.checkpoint import DEFAULT, FORMAT, ModelOptions, damaged, load_weights, locate, write_weights
from asr.model.interface import Latency
from asr.model.network.encoder import FULL, Encoder
from asr.model.network.recurrent import State, apart, joined
from asr.text import BLANK, alphabet_of


class Losses(NamedTuple):
    """Of a batch. None stands for a head that the model lacks, or that nothing in the batch has targets for."""

    letters: Tensor  # CTC loss a frame
    phonemes: Tensor | None = None  # of the utterances whose phonemes are known
    further: Tensor | None = None  # see ``further_loss``
    between: Tensor | None = None  # how much two views of the same utterances, the halves of the batch, differ
    off_teacher: Tensor | None = None  # mean square by which ``teacher_head`` misses what it shall predict


PhonemeLoss = Callable[[Tensor, Tensor, list[list[int]]], Tensor]  # called as ctc_loss


class CTCModel(nn.Module):
    """Log-mel frames -> log-probabilities of letters and blank for every encoder frame."""

    mean: Tensor  # (n_mels,), as the deviation, over the training data
    deviation: Tensor

    def __init__(self, options: ModelOptions = ModelOptions()):
        super().__init__()
        self.options = options
        self.alphabet = alphabet_of(options.symbols, options.scores)
        self.frontend = LogMel(options.frontend)
        n_mels = options.frontend.n_mels
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("deviation", torch.ones(n_mels))
        self.encoder = Encoder(options)
        self.head = nn.Linear(self.encoder.size, len(self.alphabet))
        if options.phonemes:
            self.phoneme_head = nn.Linear(len(self.options.read[1]) * self.encoder.size, len(options.phonemes) + 1)
        self.phoneme_loss: PhonemeLoss = ctc_loss  # training may put asr.training.ctc_crf in its place
        self.teacher_head: nn.Linear | None = None  # training may put one here; checkpoints don't hold it

    def normalise(self, frames: Tensor) -> Tensor:
        """frames (..., n_mels) by global mean and deviation of each band: the same for a file and for a stream."""
        return (frames - self.mean) / self.deviation

    def forward(self, frames: Tensor, lengths: Tensor, latency: Latency | None = FULL) -> tuple[Tensor, Tensor]:
        """frames (B, T, n_mels), lengths (B,) -> log-probabilities of letters (B, T', V) and T' of each."""
        letters, _, lengths = self.both(frames, lengths, latency)
        return letters, lengths

    def both(
        self, frames: Tensor, lengths: Tensor, latency: Latency | None = FULL
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """As ``forward``, with the log-probabilities of phonemes (B, T', P) between, if the model has that head."""
        hidden, lengths = self.encode(frames, lengths, latency)
        return self.letters(hidden), self.phonemes(hidden), lengths

    def losses(
        self,
        frames: Tensor,
        lengths: Tensor,
        letters: list[list[int]],
        phonemes: list[list[int] | None],
        latencies: Sequence[Latency | None] = (FULL,),
        teacher: Tensor | None = None,
    ) -> Losses:
        """teacher: what ``teacher_head`` shall predict (B, T', size), NaN where that is not known. latencies: of each
        view; there are one or two.
        """
        parts = zip(frames.chunk(len(latencies)), lengths.chunk(len(latencies)), latencies)
        views = [self.encode(of_frames, of_lengths, latency) for of_frames, of_lengths, latency in parts]
        hidden = [torch.cat(of_layer) for of_layer in zip(*(h for h, _ in views))]
        lengths = torch.cat([n for _, n in views])
        log_probs = self.letters(hidden)
        on_letters, on_phonemes = ctc_loss(log_probs, lengths, letters), None
        said = {i: p for i, p in enumerate(phonemes) if p is not None} if self.options.phonemes else {}
        if said:
            known = list(said)
            of_phonemes = self._phonemes([layer[known] for layer in hidden])
            on_phonemes = self.phoneme_loss(of_phonemes, lengths[known], list(said.values()))
        further = self.further_loss(hidden, log_probs, lengths, letters)
        off = None
        if teacher is not None and self.teacher_head and (taught := ~teacher[..., 0].isnan()).any():
            predicted = self.teacher_head(_side_by_side(hidden, self.options.read[1])[taught])
            off = (predicted.float() - teacher[taught]).square().mean()
        if len(latencies) == 1:
            return Losses(on_letters, on_phonemes, further, None, off)
        between = divergence(log_probs, lengths)
        if (on_all := self.phonemes(hidden)) is not None:
            between = between + divergence(on_all, lengths)
        return Losses(on_letters, on_phonemes, further, between, off)

    def further_loss(
        self, hidden: list[Tensor], log_probs: Tensor, lengths: Tensor, letters: list[list[int]]
    ) -> Tensor | None:
        """Of what else reads the encoder, if there is anything (asr.attention.joint): the output of every layer,
        log-probabilities of the letters, T' of each, letters -> loss a frame."""
        return None

    def encode(self, frames: Tensor, lengths: Tensor, latency: Latency | None = FULL) -> tuple[list[Tensor], Tensor]:
        """frames (B, T, n_mels), lengths (B,) -> the output of every layer (B, T', 2H), and T' of each."""
        return self.encoder(self._masked(frames, lengths), lengths, latency)

    def letters(self, hidden: list[Tensor]) -> Tensor:
        """The output of every layer -> log-probabilities of letters (B, T', V)."""
        return self.head(_side_by_side(hidden, self.options.read[0])).float().log_softmax(-1)

    def phonemes(self, hidden: list[Tensor]) -> Tensor | None:
        """The output of every layer -> log-probabilities of phonemes (B, T', P), if the model has that head."""
        return self._phonemes(hidden) if self.options.phonemes else None

    def _phonemes(self, hidden: list[Tensor]) -> Tensor:
        return self.phoneme_head(_side_by_side(hidden, self.options.read[1])).float().log_softmax(-1)

    # asr.model.interface.AcousticModel: what files and streams use

    @property
    def mean_frame(self) -> np.ndarray:
        """(n_mels,); see asr.model.interface, as for the three below."""
        return self.mean.numpy()

    def initial_state(self) -> tuple[State, ...]:
        zero = torch.zeros(1, 1, self.options.hidden)
        return (zero if self.options.kind == "gru" else (zero, zero),) * self.options.layers

    @torch.inference_mode()
    def subsample(self, frames: np.ndarray) -> np.ndarray:
        return self.encoder.subsampling(self.normalise(torch.from_numpy(frames))).numpy()

    @torch.inference_mode()
    def advance(
        self, windows: np.ndarray, valid: np.ndarray, chunk: int, layers: list[tuple[State, ...]]
    ) -> tuple[np.ndarray, np.ndarray | None, list[tuple[State, ...]]]:
        states = [joined(some) for some in zip(*layers)]
        hidden, states = self.encoder.run(torch.from_numpy(windows), torch.from_numpy(valid), chunk, states, whole=True)
        letters, phonemes = self.letters(hidden), self.phonemes(hidden)
        return letters.numpy(), None if phonemes is None else phonemes.numpy(), list(zip(*map(apart, states)))

    def _masked(self, frames: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
        return self.normalise(frames) * inside[..., None]


M = TypeVar("M", bound=CTCModel)


def _side_by_side(hidden: list[Tensor], layers: tuple[int, ...]) -> Tensor:
    """(B, T', 2H) of every layer -> (B, T', n 2H) of those that are named."""
    return hidden[layers[0]] if len(layers) == 1 else torch.cat([hidden[i] for i in layers], -1)


def load_network(name: str | Path = DEFAULT) -> tuple[CTCModel, dict]:
    """A packaged model by name or a checkpoint file -> the network in evaluation mode, and its card.

    An attention decoder that was trained with it is left out (asr.attention.joint.load_joint). Raises CheckpointError.
    """
    options, weights, card = load_weights(name)
    own = {k: weight for k, weight in weights.items() if not k.startswith("attention.")}
    return rebuilt(CTCModel, replace(options, attention=None), own, name), card


def rebuilt(kind: type[M], options: ModelOptions, weights: dict[str, np.ndarray], name: str | Path) -> M:
    """What ``load_weights`` read for ``name`` -> the network in evaluation mode. Raises CheckpointError."""
    try:
        model = kind(options)
        model.load_state_dict(tensors(weights))
    except (RuntimeError, TypeError, ValueError) as error:
        raise damaged(locate(name), error) from None
    return model.eval()


def save_model(model: CTCModel, path: Path, card: dict, half: bool = False) -> None:
    """Write a checkpoint; ``half`` stores fp16, a quarter of a per cent of the error budget and half the size."""
    weights = {name: weight for name, weight in model.state_dict().items() if not name.startswith("teacher_head.")}
    write_weights(weights, path, half, {"format": FORMAT, "options": model.options.asdict(), "card": card})


def tensors(weights: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """What asr.model.checkpoint.read_weights gave, in fp32, for load_state_dict."""
    return {name: torch.from_numpy(weight).float() for name, weight in weights.items()}


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
    """-ln probability of the targets, a frame: log_probs (B, T', V), T' of each."""
    return ctc_losses(log_probs, lengths, targets).sum() / lengths.sum()


def ctc_losses(log_probs: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
    """The same of each (B,), over all of its frames; 0 where these are too few."""
    log_probs = log_probs.transpose(0, 1)  # (T', B, V)
    flat = torch.tensor([i for t in targets for i in t], dtype=torch.long, device=log_probs.device)
    sizes = torch.tensor([len(t) for t in targets], device=log_probs.device)
    return nn.functional.ctc_loss(log_probs, flat, lengths, sizes, BLANK, reduction="none", zero_infinity=True)


def divergence(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """Kullback-Leibler divergence, a frame, of each half of log_probs (2B, T', V) from the other, which stands still.

    lengths (2B,): T' of each. Consistency regularisation, Yao et al. 2024 (CR-CTC).
    """
    one, other = log_probs.chunk(2)
    inside = torch.arange(one.shape[1], device=one.device) < lengths.chunk(2)[0][:, None]
    terms = [(still.detach().exp() * (still.detach() - moved)).sum(-1) for still, moved in ((one, other), (other, one))]
    return ((terms[0] + terms[1]) * inside).sum() / (2 * inside.sum())
