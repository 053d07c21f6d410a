"""The acoustic model with an attention decoder on its encoder: trained together, or the decoder alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from asr.attention.decoder import AttentionDecoder, letter_frames
from asr.model.checkpoint import (
    DEFAULT,
    AttentionOptions,
    CheckpointError,
    ModelOptions,
    damaged,
    load_weights,
    locate,
    read_weights,
    write_weights,
)
from asr.model.network.checkpoint import rebuilt, tensors
from asr.model.network.ctc import CTCModel

FORMAT = "asr-attention"
_TRAIN_IT = "train it with `python -m recipes.attention.train`"


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


def save_attention(model: JointModel, path: Path, card: dict) -> None:
    """Write the attention decoder alone, fp16, with the fingerprint of the encoder it was trained on."""
    decoder = model.attention
    assert decoder, "the model has no attention decoder"
    head = {"format": FORMAT, "options": vars(decoder.options), "card": card}
    write_weights(decoder.state_dict(), path, True, head | {"encoder": fingerprint(model)})


def fingerprint(model: CTCModel) -> str:
    """Of the encoder's weights as fp16: the same before and after a model is packaged."""
    weights = model.encoder.state_dict() | {"mean": model.mean, "deviation": model.deviation}
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].detach().cpu().half().numpy().tobytes())
    return digest.hexdigest()[:16]


def attach_attention(model: JointModel, name: str | Path) -> None:
    """Give the model the attention decoder that belongs to its encoder. Raises CheckpointError.

    name: a packaged model or a checkpoint file; NAME-attention.safetensors lies beside it. A model that was trained
    jointly with its decoder keeps that.
    """
    of_model = locate(name)
    if model.attention:
        return
    path = of_model.with_name(f"{of_model.stem}-attention.safetensors")
    if not path.is_file():
        raise CheckpointError(f"{of_model} has no attention decoder, nor is there a {path.name} beside it: {_TRAIN_IT}")
    weights, head = read_weights(path, FORMAT, "attention decoder")
    if head.get("encoder") != fingerprint(model):
        raise CheckpointError(f"{path} was trained on another encoder than that of {of_model}: {_TRAIN_IT} again")
    try:
        decoder = AttentionDecoder(model.encoder.size, model.alphabet, AttentionOptions(**json.loads(head["options"])))
        decoder.load_state_dict(tensors(weights))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
    model.attention, model.options = decoder.eval(), replace(model.options, attention=decoder.options)
