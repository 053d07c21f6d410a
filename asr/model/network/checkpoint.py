"""Checkpoints as torch networks, to train on or to compare with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from asr.model.checkpoint import DEFAULT, FORMAT, ModelOptions, damaged, load_weights, locate, write_weights
from asr.model.network.ctc import CTCModel

M = TypeVar("M", bound=CTCModel)


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
    write_weights(model.state_dict(), path, half, {"format": FORMAT, "options": model.options.asdict(), "card": card})


def tensors(weights: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """What asr.model.checkpoint.read_weights gave, in fp32, for load_state_dict."""
    return {name: torch.from_numpy(weight).float() for name, weight in weights.items()}
