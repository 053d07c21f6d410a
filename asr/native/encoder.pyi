import numpy as np

SOURCES: int
Product = tuple[np.ndarray, np.ndarray | None, np.ndarray]  # weights, float32 or int8 with scales; bias

class Encoder:
    def __init__(
        self,
        sizes: tuple[int, int, int, int, int, int, int],
        mean: np.ndarray,
        deviation: np.ndarray,
        products: list[Product],
        norms: list[np.ndarray],
        heads: list[tuple[int, bytes]],
    ) -> None: ...
    def subsample(self, streams: int, frames: int, given: np.ndarray, out: np.ndarray) -> None: ...
    def advance(
        self,
        shape: tuple[int, int, int, int],
        windows: np.ndarray,
        valid: np.ndarray,
        states: np.ndarray,
        outputs: list[np.ndarray],
    ) -> None: ...

def product(
    shape: tuple[int, int, int], vectors: tuple[int, int], x: np.ndarray, products: list[Product], out: np.ndarray
) -> int: ...
def affine(shape: tuple[int, int, int], x: np.ndarray, w: np.ndarray, bias: np.ndarray, out: np.ndarray) -> None: ...
def recur(
    shape: tuple[int, int, int], given: np.ndarray, h: np.ndarray, w: np.ndarray, bias: np.ndarray, out: np.ndarray
) -> None: ...
def filtered(
    spectrum: np.ndarray, weights: np.ndarray, first: np.ndarray, low: np.ndarray, out: np.ndarray
) -> None: ...
