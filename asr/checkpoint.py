"""Checkpoints: the weights and everything needed to rebuild the model, in one safetensors file.

Never a pickle. The metadata holds the format's version, the model's options and a card:
training data, licence, command, measured results.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from asr.ctc import AcousticModel, ModelOptions

FORMAT, VERSION = "asr-ctc", 1
MODELS = Path(__file__).parent / "models"
DEFAULT = "english"


class CheckpointError(Exception):
    """One sentence: what is wrong with a checkpoint and what to do."""


def write_atomically(path: Path, data: bytes) -> None:
    """The file appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save_model(model: AcousticModel, path: Path, card: dict, half: bool = False) -> None:
    """Write a checkpoint; ``half`` stores fp16, a quarter of a per cent of the error budget and half the size."""
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if half:
        weights = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    head = {"format": FORMAT, "version": str(VERSION)}
    head |= {"options": json.dumps(model.options.asdict()), "card": json.dumps(card)}
    write_atomically(Path(path), save(weights, head))


def locate(name: str | Path) -> Path:
    """A packaged model's name, or a path -> the checkpoint file."""
    packaged = MODELS / f"{name}.safetensors"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in MODELS.glob("english*.safetensors"))) or "none"
        raise CheckpointError(f"no model called {str(name)!r}: give a checkpoint file or a packaged model ({known})")
    return path


def load_model(name: str | Path = DEFAULT) -> tuple[AcousticModel, dict]:
    """-> the model in evaluation mode, and its card. Raises CheckpointError."""
    path = locate(name)
    try:
        with safe_open(path, framework="pt") as file:
            head = file.metadata() or {}
            _check(head, path)
            weights = {key: file.get_tensor(key).float() for key in file.keys()}
        card = json.loads(head["card"])
        model = AcousticModel(ModelOptions.from_dict(json.loads(head["options"])))
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({_brief(error)}): fetch or train it again") from None
    return model.eval(), card


def _check(head: dict, path: Path) -> None:
    if head.get("format") != FORMAT:
        kind = head.get("format", "an unknown program")
        raise CheckpointError(f"{path} is no acoustic model of this toolkit (written by {kind})")
    if head.get("version") != str(VERSION):
        wanted = f"version {head.get('version')}, this program reads version {VERSION}"
        raise CheckpointError(f"{path} is of another {wanted}: install the matching release or train it again")


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:100]
