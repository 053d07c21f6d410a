"""Fits the calibration of confidences, and measures how well confidences hold."""

from __future__ import annotations

import numpy as np

from asr.align.segment import Calibration

MIN_DEVIATION = 0.1  # of a feature, in the fit: one that hardly varies gets no large weight
RIDGE = 1.0  # weight of the squared coefficients in the fit


def fit(features: np.ndarray, right: np.ndarray, steps: int = 25) -> Calibration:
    """Logistic regression of ``right`` (N,) on the features (N, F), by Newton's method."""
    mean, deviation = features.mean(0), np.maximum(features.std(0), MIN_DEVIATION)
    x = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    ridge = np.append(np.full(features.shape[1], RIDGE), 0.0)
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (right - p) - ridge * weights
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge + 1e-9)
        weights += np.linalg.solve(hessian, gradient)
    scaled = weights[:-1] / deviation
    return Calibration(tuple(scaled.tolist()), float(weights[-1] - scaled @ mean))


def reliability(confidences: np.ndarray, right: np.ndarray, bins: int = 10) -> list[tuple[int, float, float]]:
    """confidences, right (W,) -> of equal bins that have words: how many, their mean confidence, the share right."""
    number = np.minimum((confidences * bins).astype(int), bins - 1)
    members = [np.flatnonzero(number == b) for b in range(bins)]
    return [(len(m), float(confidences[m].mean()), float(right[m].mean())) for m in members if len(m)]


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean gap between confidence and accuracy over the bins."""
    found = reliability(confidences, right)
    return sum(n * abs(confidence - accuracy) for n, confidence, accuracy in found) / max(1, len(right))


def area_under_roc(scores: np.ndarray, right: np.ndarray) -> float:
    """(W,), (W,) bool -> how often what is right scores above what is not, ties counted half (Mann & Whitney 1947)."""
    good, bad = np.sort(scores[right]), np.sort(scores[~right])
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / max(1, 2 * len(good) * len(bad)))
