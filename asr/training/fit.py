"""The training loop that all models share, to be read from top to bottom, and what a killed run goes on from.

One process, or several under torchrun: each rank computes its share and gradients are averaged. An update depends on
the seed and its number only, so a run that was killed goes on from its last state to the very same weights.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as distributed
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from asr.errors import Error
from asr.files import atomic_write_bytes
from asr.training.precision import fast_dtype

MAX_NONFINITE = 10  # updates in a row whose gradients are no numbers; then training stops


class TrainingError(Error):
    """One sentence: why training stopped, and where the last good state lies."""


@dataclass
class Progress:
    """Where a run stands, saved beside its weights. Subclasses add what their training needs to go on."""

    update: int = 0  # updates that are done


@dataclass(frozen=True)
class Plan:
    """How long a training lasts and how fast it learns."""

    updates: int
    evaluate_every: int  # updates
    learning_rate: Callable[[int], float]  # of the update with this number
    clip: float = 1.0  # norm of the gradient, at most
    seed: int = 1
    state: Path | None = None  # where the caller saves the run's state


Batch = TypeVar("Batch")
P = TypeVar("P", bound=Progress)


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    loss: Callable[[Batch], tuple[Tensor, dict[str, float]]],
    plan: Plan,
    progress: Progress,
) -> Iterator[dict[str, float]]:
    """Train up to the last update of the plan; at every evaluation yield the means since the one before.

    batches: the next one is that of the update ``progress.update``. loss: a batch -> what is to fall, and parts of it
    that are logged under their names. The means hold "loss", these parts, "gradient" (its norm) and "learning_rate".
    The caller measures, saves the state, comes back; all ranks go on with the first's progress. Raises TrainingError.
    """
    rank, world = ranks()
    logged: list[dict[str, float]] = []
    refused = 0
    while progress.update < plan.updates:
        update, batch = progress.update, next(batches)
        torch.manual_seed(plan.seed * 1_000_003 + update * world + rank)  # of dropout
        total, parts = loss(batch)
        total.backward()
        rate = plan.learning_rate(update)
        norm = step(model, optimizer, rate, plan.clip)
        refused = 0 if math.isfinite(norm) else refused + 1
        if refused == MAX_NONFINITE:
            where = f"the last good state is {plan.state}: " if plan.state else ""
            raise TrainingError(
                f"the loss was not a number ten times up to update {update}; {where}lower the learning rate"
            )
        logged.append({"loss": total.item()} | parts | {"gradient": norm})
        progress.update = update + 1
        if progress.update % plan.evaluate_every == 0 or progress.update == plan.updates:
            yield {name: nan_mean([row[name] for row in logged]) for name in logged[0]} | {"learning_rate": rate}
            share_progress(progress)
            logged = []


def step(model: nn.Module, optimizer: torch.optim.Optimizer, rate: float, clip: float) -> float:
    """Update by all processes' gradients, unless they are no numbers. Returns their norm before clipping."""
    average_gradients(model)
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    if norm.isfinite():
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def average_gradients(model: nn.Module) -> None:
    """Replace gradients by their mean over all processes; a weight that a batch did not use has a gradient of 0."""
    trained = [p for p in model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    if distributed.is_initialized():
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        gradients = [part.view_as(g) for g, part in zip(gradients, flat.split([g.numel() for g in gradients]))]
    for p, gradient in zip(trained, gradients):
        p.grad = gradient


def nan_mean(values: list[float]) -> float:
    """The mean of those that are numbers; NaN if none is."""
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Schedule:
    """A learning rate: a linear warm-up to the peak, a constant part, a fall."""

    peak: float
    warmup: int  # updates
    fall: tuple[float, float] | None = None  # updates at which the rate begins and ends to fall
    floor: float = 0.01  # share of the peak at the end
    cosine: bool = False  # fall by half a cosine instead of a line

    def __call__(self, update: int) -> float:
        rate = self.peak * min(1.0, (update + 1) / max(1, self.warmup))
        if self.fall is None:
            return rate
        first, last = self.fall
        done = min(1.0, max(0.0, (update - first) / max(1.0, last - first)))
        if self.cosine:
            done = 0.5 * (1 - math.cos(math.pi * done))
        return rate * (1 - (1 - self.floor) * done)


# The state of a run


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write weights, the optimizer's moments and the progress into one file, whole or not at all."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in entry.items()}
    tensors = {k: v.cpu().contiguous() for k, v in tensors.items()}
    atomic_write_bytes(path, save(tensors, {"progress": json.dumps(asdict(progress))}))


def resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: P) -> P:
    """Take over the state of a run that left one there, into all three. Raises TrainingError where it is damaged."""
    if not path.exists():
        return progress
    moments: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}
            saved = json.loads(file.metadata()["progress"])
        for key in [k for k in tensors if k.startswith("optimizer.")]:
            _, i, name = key.split(".")
            moments.setdefault(int(i), {})[name] = tensors[key]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is damaged ({error}): remove it to begin anew, or name another folder") from None
    load_weights(model, {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}, path)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    vars(progress).update({f.name: saved[f.name] for f in fields(progress) if f.name in saved})
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


# Where it runs


def pick_device(name: str | None) -> torch.device:
    """The device of that name; for None a GPU, where there is one: with several, each local process has its own."""
    if name is None and torch.cuda.is_available():
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    try:
        return torch.empty(0, device=name or "cpu").device
    except (RuntimeError, AssertionError):
        raise TrainingError(f"no device {name!r} here: say cpu, or cuda where PyTorch finds a GPU") from None


def start_distributed() -> None:
    """Join the other processes when torchrun started this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        store, rank, world = next(distributed.rendezvous("env://"))
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # in the store are the addresses of those that died
        store = distributed.PrefixStore(f"start {again}", store)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)  # GPUs too: by way of the host


def ranks() -> tuple[int, int]:
    """The number of this process under torchrun, and how many there are; the first one, 0, writes and speaks."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def share_progress(progress: Progress) -> None:
    """Every rank takes over the first one's progress."""
    if distributed.is_initialized():
        shared = [vars(progress)]
        distributed.broadcast_object_list(shared)
        vars(progress).update(shared[0])


class Muon(torch.optim.Optimizer):
    """For recurrent matrices, with AdamW for everything else (Jordan et al. 2024; Loshchilov & Hutter 2019).

    Momentum whose update is made orthogonal: every direction of a matrix learns at the same speed.

    Weights of several gates stacked in one tensor are taken gate by gate, which torch.optim.Muon does not. The
    update's size is matched to AdamW's (Liu et al. 2025), so one learning rate serves both rules.
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float, momentum: float = 0.95):
        recurrent = [m for m in model.modules() if isinstance(m, (nn.GRU, nn.LSTM))]
        matrices = [(p, m.hidden_size) for m in recurrent for n, p in m.named_parameters() if n.startswith("weight")]
        chosen = {id(p) for p, _ in matrices}
        others = [p for p in model.parameters() if id(p) not in chosen]
        groups = [{"params": [p], "rows": rows} for p, rows in matrices] + [{"params": others, "rows": 0}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient; a closure is not called.

        Of several processes each makes a share of the matrices orthogonal, and gives the others what it found.
        """
        rank, world = ranks()
        matrices, updates = [], []
        groups = [(number, group, p) for number, group in enumerate(self.param_groups) for p in group["params"]]
        for number, group, p in groups:
            if p.grad is None:
                continue
            p.mul_(1 - group["lr"] * group["weight_decay"])
            if group["rows"]:  # the two matrices of a layer, which may differ in size, go to one process
                matrices.append((group["lr"], p))
                updates.append(self._muon(p, p.grad, group, number // 2 % world == rank))
            else:
                p.add_(self._adam(p, p.grad, group), alpha=-group["lr"])
        if matrices and world > 1:
            flat = torch.cat([update.flatten() for update in updates])
            distributed.all_reduce(flat)
            updates = list(flat.split([p.numel() for _, p in matrices]))
        for (rate, p), update in zip(matrices, updates):
            p.add_(update.view_as(p), alpha=-rate)

    def _muon(self, p: Tensor, gradient: Tensor, group: dict, mine: bool) -> Tensor:
        state, momentum = self.state[p], group["momentum"]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(gradient, 1 - momentum)
        if not mine:
            return torch.zeros_like(p)
        update = gradient.lerp(state["momentum"], momentum)  # Nesterov
        gates = orthogonal(update.view(-1, group["rows"], p.shape[1]))
        return gates.reshape(p.shape) * (0.2 * max(group["rows"], p.shape[1]) ** 0.5)

    def _adam(self, p: Tensor, gradient: Tensor, group: dict) -> Tensor:
        state = self.state[p]
        if not state:
            state.update(step=torch.zeros(()), mean=torch.zeros_like(p), square=torch.zeros_like(p))
        state["step"] += 1
        state["mean"].lerp_(gradient, 0.1)
        state["square"].mul_(0.98).addcmul_(gradient, gradient, value=0.02)
        step = float(state["step"])
        mean, square = state["mean"] / (1 - 0.9**step), state["square"] / (1 - 0.98**step)
        return mean / (square.sqrt() + 1e-8)


def orthogonal(x: Tensor, steps: int = 5) -> Tensor:
    """x (n, rows, columns) -> about U V' of each singular value decomposition, by Newton-Schulz iteration."""
    tall = x.shape[1] > x.shape[2]
    y = ((x.mT if tall else x) / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(fast_dtype(x.device.type))
    for _ in range(steps):
        square = y @ y.mT
        y = torch.baddbmm(y, torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315), y, beta=3.4445)
    return (y.mT if tall else y).float()
