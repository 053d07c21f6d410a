"""The acoustic model with an attention decoder on its encoder: trained together, or alone; and as a judge of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
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
)
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel, rebuilt, tensors
from asr.search.base import Hypothesis

FORMAT = "asr-attention"
_TRAIN_IT = "train it with `python -m recipes.attention.train`"


class JointModel(CTCModel):
    """CTC heads and, where the options ask for it, an attention decoder (Watanabe et al. 2017)."""

    def __init__(self, options: ModelOptions = ModelOptions()):
        super().__init__(options)
        wanted = options.attention
        self.attention = (
            AttentionDecoder(self.encoder.size, self.alphabet, wanted, options.frame_seconds) if wanted else None
        )

    def further_loss(
        self, hidden: list[Tensor], log_probs: Tensor, lengths: Tensor, letters: list[list[int]]
    ) -> Tensor | None:
        """The decoder's; CTC shows it where to look."""
        if not self.attention:
            return None
        return self.attention.loss(hidden[-1], lengths, letters, letter_frames(log_probs, lengths, letters))


def load_joint(name: str | Path = DEFAULT) -> tuple[JointModel, dict]:
    """As asr.model.network.ctc.load_network, with the decoder that was trained with it, if there is one."""
    options, weights, card = load_weights(name)
    return rebuilt(JointModel, options, weights, name), card


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
        wanted = AttentionOptions(**json.loads(head["options"]))
        decoder = AttentionDecoder(model.encoder.size, model.alphabet, wanted, model.options.frame_seconds)
        decoder.load_state_dict(tensors(weights))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
    model.attention, model.options = decoder.eval(), replace(model.options, attention=decoder.options)


class AttentionJudge:
    """Adds ``weight`` times the attention decoder's ln probability to the score of each text (Watanabe et al. 2017).

    The encoder runs once more for it: searches get only what its CTC heads say. latency: None for whole spans.
    """

    def __init__(self, model: JointModel, weight: float, latency: Latency | None = None):
        self.model, self.weight, self.latency = model, weight, latency

    @classmethod
    def load(
        cls, name: str | Path, weight: float, milliseconds: float | None = None, threads: int | None = None
    ) -> AttentionJudge:
        """With the decoder of a packaged model or a checkpoint file. Raises asr.model.checkpoint.CheckpointError."""
        torch.set_num_threads(threads or 1)
        model, _ = load_joint(name)
        attach_attention(model, name)
        return cls(model, weight, Latency.of(milliseconds, model.options) if milliseconds else None)

    def __call__(self, frames: np.ndarray, steps: slice, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        """frames (T, n_mels) -> the hypotheses for the encoder's ``steps``, best first."""
        by_attention = self.ln_probability(frames, steps, [h.text for h in hypotheses])
        judged = [replace(h, score=h.score + self.weight * a) for h, a in zip(hypotheses, by_attention)]
        return sorted(judged, key=lambda h: -h.score)

    @torch.inference_mode()
    def ln_probability(self, frames: np.ndarray, steps: slice, texts: list[str]) -> list[float]:
        """Of each text by the attention decoder, over some of the encoder's steps."""
        hidden, _ = self.model.encode(torch.from_numpy(frames)[None], torch.tensor([len(frames)]), self.latency)
        assert self.model.attention  # see attach_attention
        return self.model.attention.ln_probability(hidden[-1][0, steps], texts)
