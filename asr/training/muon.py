"""Muon for the recurrent matrices, AdamW for everything else (Jordan et al. 2024; Loshchilov & Hutter 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal: every direction of a matrix learns at the same speed.

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
        """Update every weight that has a gradient; a closure is not called."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.mul_(1 - group["lr"] * group["weight_decay"])
                rule = self._muon if group["rows"] else self._adam
                p.add_(rule(p, p.grad, group), alpha=-group["lr"])

    def _muon(self, p: Tensor, gradient: Tensor, group: dict) -> Tensor:
        state, momentum = self.state[p], group["momentum"]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(gradient, 1 - momentum)
        update = gradient.lerp(state["momentum"], momentum)  # Nesterov
        gates = orthogonal(update.view(-1, group["rows"], p.shape[1]))
        return gates.view_as(p) * (0.2 * max(group["rows"], p.shape[1]) ** 0.5)

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
    """x (n, rows, columns) -> about U V' of each singular value decomposition, by Newton-Schulz iteration in bf16."""
    tall = x.shape[1] > x.shape[2]
    y = (x.mT if tall else x).bfloat16()
    y = y / (y.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = y @ y.mT
        y = 3.4445 * y + (-4.7750 * square + 2.0315 * square @ square) @ y
    return (y.mT if tall else y).float()
