"""The GRU in numpy, for all that runs without torch: speech detector, wake words, rescoring."""

from __future__ import annotations

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows


def gru(given: np.ndarray, h: np.ndarray, w_h: np.ndarray, b_h: np.ndarray) -> np.ndarray:
    """What the input brings to the gates (T, ..., 3H), a state (..., H), w_h (H, 3H), b_h (3H,) -> states (T, ..., H).

    Gates in the order of torch.nn.GRU: reset, update, new (Cho et al. 2014).
    """
    size = h.shape[-1]
    out = np.empty((*given.shape[:-1], size), np.float32)
    for i, x in enumerate(given):
        own = h @ w_h
        own += b_h
        gates = np.tanh(0.5 * (x[..., : 2 * size] + own[..., : 2 * size]))  # two sigmoids, in place
        gates *= 0.5
        gates += 0.5
        new = np.tanh(x[..., 2 * size :] + gates[..., :size] * own[..., 2 * size :])
        h = new + gates[..., size:] * (h - new)
        out[i] = h
    return out
