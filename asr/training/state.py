"""What a training run leaves on disk: the state it goes on from, the best checkpoints and their average."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from asr.errors import Error
from asr.files import atomic_write_bytes
from asr.model.checkpoint import save_model
from asr.model.network.ctc import CTCModel


class TrainingError(Error, ValueError):
    """One sentence: why training stopped, and where the last good state lies."""


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in entry.items()}
    tensors = {k: v.cpu().contiguous() for k, v in tensors.items()}
    atomic_write_bytes(path, save(tensors, {"progress": json.dumps(progress)}))


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Weights into the model, moments into the optimizer -> the run's progress. Raises TrainingError."""
    state: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}
            progress = json.loads(file.metadata()["progress"])
        for key in [k for k in tensors if k.startswith("optimizer.")]:
            _, i, name = key.split(".")
            state.setdefault(int(i), {})[name] = tensors[key]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is damaged ({error}): remove it to begin anew, or name another folder") from None
    load_weights(model, {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, path)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def load_weights(model: nn.Module, weights: dict[str, Tensor], source: Path | str) -> None:
    """Put the weights into the model; raises TrainingError, which names the ``source``, if one has another shape."""
    own = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    given = {k: tuple(v.shape) for k, v in weights.items()}
    for name in sorted(own.keys() | given.keys()):
        if own.get(name) != given.get(name):
            here, there = (f"of the shape {s[name]}" if name in s else "missing" for s in (own, given))
            raise TrainingError(
                f"{source} holds weights of another model: {name} is {there} in it and {here} in this one; "
                "use the configuration it was trained with, or begin without it"
            )
    model.load_state_dict(weights)


def keep_best(model: CTCModel, wer: float, progress: dict, keep: int, folder: Path) -> None:
    """Write a checkpoint, and enter it into the run's ``best`` if it is among so many."""
    name = f"update-{progress['update']:06d}.safetensors"
    save_model(model, folder / name, {"dev_wer": wer})
    progress["best"] = sorted([*progress["best"], [wer, name]])[:keep]


def remove_all_but_best(folder: Path, progress: dict) -> None:
    """To be called when the state is saved: until then the one before may still want its checkpoints."""
    kept = {name for _, name in progress["best"]}
    for path in folder.glob("update-*.safetensors"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def average(model: CTCModel, paths: list[Path]) -> None:
    """Load the mean of several checkpoints' weights into the model."""
    states = [load_file(p) for p in paths]
    model.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})


def count_nonfinite(before: int, norm: float, update: int, folder: Path) -> int:
    """How many updates in a row had gradients that are no numbers. Raises TrainingError at ten."""
    if math.isfinite(norm):
        return 0
    if before == 9:
        raise TrainingError(
            f"the loss was not a number ten times up to update {update}; "
            f"the last good state is {folder / 'state.safetensors'}: lower the learning rate"
        )
    return before + 1
