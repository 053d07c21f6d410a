"""The attention decoder judges the texts that a CTC search has found (Watanabe et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from asr.attention.joint import JointModel, attach_attention, load_joint
from asr.model.interface import Latency
from asr.search.base import Hypothesis


class AttentionJudge:
    """Adds ``weight`` times the attention decoder's ln probability to the score of each text.

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
        return cls(model, weight, Latency.of(milliseconds) if milliseconds else None)

    def __call__(self, frames: np.ndarray, steps: slice, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        """frames (T, n_mels) -> the hypotheses for the encoder's ``steps``, best first."""
        by_attention = self.ln_probability(frames, steps, [h.text for h in hypotheses])
        judged = [replace(h, score=h.score + self.weight * a) for h, a in zip(hypotheses, by_attention)]
        return sorted(judged, key=lambda h: -h.score)

    @torch.inference_mode()
    def ln_probability(self, frames: np.ndarray, steps: slice, texts: list[str]) -> list[float]:
        """Of each text by the attention decoder, over some of the encoder's steps."""
        hidden, _ = self.model.encode(torch.from_numpy(frames)[None], torch.tensor([len(frames)]), self.latency)
        assert self.model.attention  # see asr.attention.joint.attach_attention
        return self.model.attention.ln_probability(hidden[-1][0, steps], texts)
