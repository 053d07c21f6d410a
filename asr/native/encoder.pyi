import numpy as np

SOURCES: int
Product = tuple[np.ndarray, np.ndarray | None, np.ndarray]  # weights, float32 or int8 with scales; bias

class Encoder:
    def __init__(
        self,
        sizes: tuple[int, int, int, int, int],
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
