"""The acoustic model with an attention decoder on its encoder: trained together, or the decoder alone."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from asr.attention.decoder import AttentionDecoder, letter_frames
from asr.model.checkpoint import DEFAULT, ModelOptions, load_weights
from asr.model.network.checkpoint import rebuilt
from asr.model.network.ctc import CTCModel


class JointModel(CTCModel):
    """CTC heads and, where the options ask for it, an attention decoder (Watanabe et al. 2017)."""

    def __init__(self, options: ModelOptions = ModelOptions()):
        super().__init__(options)
        wanted = options.attention
        self.attention = AttentionDecoder(self.encoder.size, self.alphabet, wanted) if wanted else None

    def further_loss(
        self, hidden: list[Tensor], log_probs: Tensor, lengths: Tensor, letters: list[list[int]]
    ) -> Tensor | None:
        """The decoder's; CTC shows it where to look."""
        if not self.attention:
            return None
        return self.attention.loss(hidden[-1], lengths, letters, letter_frames(log_probs, lengths, letters))


def load_joint(name: str | Path = DEFAULT) -> tuple[JointModel, dict]:
    """As asr.model.network.checkpoint.load_network, with the decoder that was trained with it, if there is one."""
    options, weights, card = load_weights(name)
    return rebuilt(JointModel, options, weights, name), card
