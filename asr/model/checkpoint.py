"""Checkpoints: the weights and everything needed to rebuild the model, in one safetensors file.

Never a pickle. The metadata holds the format's version, the model's options and a card:
training data, licence, command, measured results. An attention decoder that was trained on a
frozen encoder lies in a file of its own, which knows whose encoder it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from asr.errors import Error
from asr.files import atomic_write_bytes
from asr.model.options import ModelOptions

if TYPE_CHECKING:
    from asr.model.network.ctc import CTCModel

FORMAT, VERSION = "asr-ctc", 1
MODELS = Path(__file__).parent.parent / "models"
DEFAULT = "english"


class CheckpointError(Error):
    """One sentence: what is wrong with a checkpoint and what to do."""


def save_model(model: CTCModel, path: Path, card: dict, half: bool = False) -> None:
    """Write a checkpoint; ``half`` stores fp16, a quarter of a per cent of the error budget and half the size."""
    write_weights(model.state_dict(), path, half, {"format": FORMAT, "options": model.options.asdict(), "card": card})


def write_weights(weights: Mapping[str, Any], path: Path, half: bool, head: dict) -> None:
    """Weights (of torch or numpy) and metadata to a file, whole or not at all; what is no text in ``head`` as JSON.

    half: store fp16.
    """
    arrays = {name: _array(weight) for name, weight in weights.items()}
    if half:
        arrays = {k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in head.items()}
    atomic_write_bytes(Path(path), save(arrays, texts | {"version": str(VERSION)}))


def _array(weight: Any) -> np.ndarray:
    return np.ascontiguousarray(weight.detach().cpu().numpy() if hasattr(weight, "detach") else weight)


def update_card(path: Path, more: dict, **head_too: str) -> None:
    """Add to a checkpoint's card, or replace parts of it, and of the file's head; its weights stay as they are."""
    with safe_open(path, framework="np") as file:
        head, weights = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    card = json.loads(head["card"]) | more
    atomic_write_bytes(path, save(weights, head | head_too | {"card": json.dumps(card)}))


def locate(name: str | Path) -> Path:
    """A packaged model's name, or a path -> the checkpoint file."""
    packaged = MODELS / f"{name}.safetensors"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        names = sorted(p.stem for p in MODELS.glob("english*.safetensors"))
        known = ", ".join(n for n in names if not n.endswith(("-attention", "-rnn"))) or "none"
        what = f"{str(name)!r}" + " (a folder)" * path.is_dir()
        raise CheckpointError(f"no model called {what}: give a checkpoint file or a packaged model ({known})")
    return path


def load_weights(name: str | Path = DEFAULT) -> tuple[ModelOptions, dict[str, np.ndarray], dict]:
    """An acoustic model by its name, or its file -> its options, weights as stored and card. Raises CheckpointError."""
    path = locate(name)
    weights, head = read_weights(path, FORMAT, "acoustic model")
    try:
        return ModelOptions.from_dict(json.loads(head["options"])), weights, json.loads(head["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def read_weights(path: Path, wanted: str, kind: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Weights as stored, and the metadata. Raises CheckpointError; ``kind`` is what a file of the format is called."""
    try:
        with safe_open(path, framework="np") as file:
            head = file.metadata() or {}
            _check(head, path, wanted, kind)
            return {key: file.get_tensor(key) for key in file.keys()}, head
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({_brief(error)}): fetch or train it again")


def _check(head: dict, path: Path, wanted: str, kind: str) -> None:
    if head.get("format") != wanted:
        writer = head.get("format", "an unknown program")
        raise CheckpointError(f"{path} is no {kind} of this toolkit (written by {writer})")
    if head.get("version") != str(VERSION):
        wanted = f"version {head.get('version')}, this program reads version {VERSION}"
        raise CheckpointError(f"{path} is of another {wanted}: install the matching release or train it again")


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:100]
