"""Checkpoints: the weights and everything needed to rebuild the model, in one safetensors file.

Never a pickle. The metadata holds the format's version, the model's options and a card:
training data, licence, command, measured results. An attention decoder that was trained on a
frozen encoder lies in a file of its own, which knows whose encoder it belongs to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from asr.errors import Error
from asr.files import atomic_write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from asr.model.network.ctc import CTCModel

FORMAT, VERSION = "asr-ctc", 1
ATTENTION = "asr-attention"
MODELS = Path(__file__).parent.parent / "models"
DEFAULT = "english"


class CheckpointError(Error):
    """One sentence: what is wrong with a checkpoint and what to do."""


def save_model(model: CTCModel, path: Path, card: dict, half: bool = False) -> None:
    """Write a checkpoint; ``half`` stores fp16, a quarter of a per cent of the error budget and half the size."""
    write_weights(model.state_dict(), path, half, {"format": FORMAT, "options": model.options.asdict(), "card": card})


def save_attention(model: CTCModel, path: Path, card: dict) -> None:
    """Write the attention decoder alone, fp16, with the fingerprint of the encoder it was trained on."""
    decoder = model.attention
    assert decoder, "the model has no attention decoder"
    head = {"format": ATTENTION, "options": vars(decoder.options), "card": card}
    write_weights(decoder.state_dict(), path, True, head | {"encoder": fingerprint(model)})


def write_weights(weights: dict[str, Tensor], path: Path, half: bool, head: dict) -> None:
    """Weights and metadata to a file, whole or not at all; ``half`` stores fp16, what is no text goes as JSON."""
    from safetensors.torch import save

    weights = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
    if half:
        weights = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in head.items()}
    atomic_write_bytes(Path(path), save(weights, texts | {"version": str(VERSION)}))


def update_card(path: Path, more: dict, **head_too: str) -> None:
    """Add to a checkpoint's card, or replace parts of it, and of the file's head; its weights stay as they are."""
    from safetensors.torch import save

    with safe_open(path, framework="pt") as file:
        head, weights = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    card = json.loads(head["card"]) | more
    atomic_write_bytes(path, save(weights, head | head_too | {"card": json.dumps(card)}))


def fingerprint(model: CTCModel) -> str:
    """Of the encoder's weights as fp16: the same before and after a model is packaged."""
    weights = model.encoder.state_dict() | {"mean": model.mean, "deviation": model.deviation}
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].detach().cpu().half().numpy().tobytes())
    return digest.hexdigest()[:16]


def locate(name: str | Path) -> Path:
    """A packaged model's name, or a path -> the checkpoint file."""
    packaged = MODELS / f"{name}.safetensors"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        names = sorted(p.stem for p in MODELS.glob("english*.safetensors"))
        known = ", ".join(n for n in names if not n.endswith(("-attention", "-rnn"))) or "none"
        raise CheckpointError(f"no model called {str(name)!r}: give a checkpoint file or a packaged model ({known})")
    return path


def load_model(name: str | Path = DEFAULT) -> tuple[CTCModel, dict]:
    """-> the model in evaluation mode, and its card. Raises CheckpointError."""
    path = locate(name)
    try:
        from asr.model.network.ctc import CTCModel
        from asr.model.options import ModelOptions
    except ModuleNotFoundError as error:
        raise CheckpointError(f"{path} needs {error.name}, which is not installed: {_WITHOUT_TORCH}") from None
    weights, head = read_weights(path, FORMAT, "acoustic model")
    try:
        card = json.loads(head["card"])
        model = CTCModel(ModelOptions.from_dict(json.loads(head["options"])))
        model.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
    return model.eval(), card


def attach_attention(model: CTCModel, name: str | Path) -> None:
    """Give the model the attention decoder that belongs to its encoder. Raises CheckpointError.

    name: a packaged model or a checkpoint file; NAME-attention.safetensors lies beside it. A model that was trained
    jointly with its decoder keeps that.
    """
    of_model = locate(name)
    from asr.attention.decoder import AttentionDecoder, AttentionOptions

    if model.attention:
        return
    path = of_model.with_name(f"{of_model.stem}-attention.safetensors")
    if not path.is_file():
        raise CheckpointError(f"{of_model} has no attention decoder, nor is there a {path.name} beside it: {_TRAIN_IT}")
    weights, head = read_weights(path, ATTENTION, "attention decoder")
    if head.get("encoder") != fingerprint(model):
        raise CheckpointError(f"{path} was trained on another encoder than that of {of_model}: {_TRAIN_IT} again")
    try:
        decoder = AttentionDecoder(model.encoder.size, model.alphabet, AttentionOptions(**json.loads(head["options"])))
        decoder.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
    model.attention, model.options = decoder.eval(), replace(model.options, attention=decoder.options)


_WITHOUT_TORCH = "install it, or give the folder that `asr export` writes where it is installed"
_TRAIN_IT = "train it with `python -m recipes.attention.train`"


def read_weights(path: Path, wanted: str, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights as fp32, and the metadata. Raises CheckpointError; ``kind`` is what a file of the format is called."""
    try:
        with safe_open(path, framework="pt") as file:
            head = file.metadata() or {}
            _check(head, path, wanted, kind)
            return {key: file.get_tensor(key).float() for key in file.keys()}, head
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OSError) as error:
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
