"""Checkpoints as torch networks, to train on or to compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.model.checkpoint import DEFAULT, damaged, load_weights, locate
from asr.model.network.ctc import CTCModel


def load_network(name: str | Path = DEFAULT) -> tuple[CTCModel, dict]:
    """A packaged model by name or a checkpoint file -> the network in evaluation mode, and its card.

    Raises CheckpointError.
    """
    options, weights, card = load_weights(name)
    try:
        model = CTCModel(options)
        model.load_state_dict(tensors(weights))
    except (RuntimeError, TypeError, ValueError) as error:
        raise damaged(locate(name), error) from None
    return model.eval(), card


def tensors(weights: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """What asr.model.checkpoint.read_weights gave, in fp32, for load_state_dict."""
    return {name: torch.from_numpy(weight).float() for name, weight in weights.items()}
