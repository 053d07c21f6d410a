"""The acoustic model: front-end, encoder, CTC heads and loss (Graves et al. 2006)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from asr.encoder import FULL, Encoder, Latency
from asr.frontend import LogMel, LogMelOptions
from asr.text import BLANK, LETTERS, Alphabet


@dataclass(frozen=True)
class ModelOptions:
    frontend: LogMelOptions = LogMelOptions()
    symbols: tuple[str, ...] = tuple(LETTERS)
    phonemes: tuple[str, ...] = ()  # of a second head on a middle layer
    kind: str = "gru"  # or lstm, peephole
    layers: int = 4
    hidden: int = 320  # of each direction
    channels: int = 32  # of the subsampling
    dropout: float = 0.1

    @classmethod
    def from_dict(cls, values: dict) -> ModelOptions:
        lists = {k: tuple(values[k]) for k in ("symbols", "phonemes")}
        return cls(**{**values, **lists, "frontend": LogMelOptions(**values["frontend"])})

    def asdict(self) -> dict:
        return asdict(self)


class AcousticModel(nn.Module):
    """Log-mel frames -> log-probabilities of letters and blank for every 40 ms."""

    def __init__(self, options: ModelOptions = ModelOptions()):
        super().__init__()
        self.options = options
        self.alphabet = Alphabet(options.symbols)
        self.frontend = LogMel(options.frontend)
        n_mels = options.frontend.n_mels
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("deviation", torch.ones(n_mels))
        self.encoder = Encoder(
            n_mels, options.channels, options.hidden, options.layers, options.kind, options.dropout
        )
        self.head = nn.Linear(self.encoder.size, len(self.alphabet))
        if options.phonemes:
            self.phoneme_head = nn.Linear(self.encoder.size, len(options.phonemes) + 1)

    @property
    def middle(self) -> int:
        """The layer that the phoneme head reads."""
        return max(0, self.options.layers // 2)

    def normalise(self, frames: Tensor) -> Tensor:
        """Global mean and deviation of each mel band: the same for a file and for a stream."""
        return (frames - self.mean) / self.deviation

    def forward(self, frames: Tensor, lengths: Tensor, latency: Latency | None = FULL) -> tuple[Tensor, Tensor]:
        """frames (B, T, n_mels), lengths (B,) -> log-probabilities of letters (B, T', V) and T' of each."""
        letters, _, lengths = self.both(frames, lengths, latency)
        return letters, lengths

    def both(
        self, frames: Tensor, lengths: Tensor, latency: Latency | None = FULL
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """As ``forward``, with the log-probabilities of phonemes (B, T', P) between, if the model has that head."""
        hidden, lengths = self.encoder(self._masked(frames, lengths), lengths, latency)
        phonemes = None
        if self.options.phonemes:
            phonemes = self.phoneme_head(hidden[self.middle]).float().log_softmax(-1)
        return self.head(hidden[-1]).float().log_softmax(-1), phonemes, lengths

    def loss(
        self,
        frames: Tensor,
        lengths: Tensor,
        letters: list[list[int]],
        phonemes: list[list[int] | None],
        latency: Latency | None = FULL,
    ) -> tuple[Tensor, Tensor | None]:
        """CTC loss per frame on the letters, and on the phonemes of the utterances that have them."""
        hidden, lengths = self.encoder(self._masked(frames, lengths), lengths, latency)
        on_letters = ctc_loss(self.head(hidden[-1]).float().log_softmax(-1), lengths, letters)
        known = [i for i, p in enumerate(phonemes) if p is not None] if self.options.phonemes else []
        if not known:
            return on_letters, None
        log_probs = self.phoneme_head(hidden[self.middle][known]).float().log_softmax(-1)
        return on_letters, ctc_loss(log_probs, lengths[known], [phonemes[i] for i in known])

    def _masked(self, frames: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
        return self.normalise(frames) * inside[..., None]


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
    """-ln probability of the targets, a frame: log_probs (B, T', V), T' of each."""
    log_probs = log_probs.transpose(0, 1)  # (T', B, V)
    flat = torch.tensor([i for t in targets for i in t], dtype=torch.long, device=log_probs.device)
    sizes = torch.tensor([len(t) for t in targets], device=log_probs.device)
    loss = nn.functional.ctc_loss(log_probs, flat, lengths, sizes, BLANK, reduction="none", zero_infinity=True)
    return loss.sum() / lengths.sum()
