import numpy as np

SOURCES: int
HAS_BF16: bool  # products of bf16, for gru_forward and gru_backward; without a compiler for them these are missing
MAX_SYMBOLS: int  # of log_denominator

def log_denominator(
    shape: tuple[int, ...],
    probs: np.ndarray,
    lengths: np.ndarray,
    trigram: np.ndarray,
    total: np.ndarray,
    occupied: np.ndarray,
) -> None: ...
def gru_forward(shape: tuple[int, ...], *arrays: np.ndarray) -> None: ...
def gru_backward(shape: tuple[int, ...], *arrays: np.ndarray) -> None: ...
