"""The GRU for all that runs without torch beside the acoustic model: speech detector, wake words, rescoring, marks.

Compiled, or in numpy where there was no compiler.
"""

from __future__ import annotations

import numpy as np

from asr.native import encoder as native


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows


def affine(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x (n, D), w (D, M), bias (M,) -> x w + bias (n, M), float32; a row is the same to the bit beside any others."""
    if native is None:
        return (x[:, None] @ w)[:, 0] + bias
    out = np.empty((len(x), w.shape[1]), np.float32)
    native.affine((*x.shape, w.shape[1]), _contiguous(x), _contiguous(w), _contiguous(bias), out)
    return out


def gru(given: np.ndarray, h: np.ndarray, w_h: np.ndarray, b_h: np.ndarray) -> np.ndarray:
    """What the input brings to the gates (T, ..., 3H), a state (..., H), w_h (H, 3H), b_h (3H,) -> states (T, ..., H).

    Gates in the order of torch.nn.GRU: reset, update, new (Cho et al. 2014).
    """
    size = h.shape[-1]
    out = np.empty((*given.shape[:-1], size), np.float32)
    if native is not None:
        arrays = _contiguous(given), _contiguous(h), _contiguous(w_h), _contiguous(b_h)
        native.recur((len(given), h.size // size, size), *arrays, out)
        return out
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


def _contiguous(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float32)
