"""What arithmetic alone would cost: multiply-adds by the shapes of matrix products, timed on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from statistics import median
from typing import NamedTuple

import numpy as np

ROWS = 256  # products of more rows are as fast a row
LONG_ENOUGH = 2e-3  # s of one measurement


class Product(NamedTuple):
    """(rows, inner) times (inner, columns), float32."""

    rows: int
    inner: int
    columns: int

    @property
    def multiply_adds(self) -> int:
        return self.rows * self.inner * self.columns


def multiply_adds(work: Mapping[Product, int]) -> int:
    """Of products, each so often."""
    return sum(times * product.multiply_adds for product, times in work.items())


def seconds(work: Mapping[Product, int]) -> float:
    """CPU time of these products alone, at the speed of this machine, with their matrices in the cache."""
    some = [(product, times) for product, times in work.items() if product.multiply_adds]
    return sum(times * product.multiply_adds / speed(_typical(product)) for product, times in some)


def _typical(product: Product) -> Product:
    """One of about the same speed: rows are rounded, so that few have to be timed."""
    rows = min(ROWS, product.rows)
    return product._replace(rows=rows if rows <= 4 else 1 << round(np.log2(rows)))


@cache
def speed(product: Product) -> float:
    """Multiply-adds a second: the median of nine measurements."""
    random = np.random.default_rng(0)
    a = random.standard_normal((product.rows, product.inner), np.float32)
    b = random.standard_normal((product.inner, product.columns), np.float32)

    def multiply() -> object:
        return a @ b

    multiply()
    times = max(1, round(LONG_ENOUGH / max(1e-7, _spent(multiply, 1))))
    return product.multiply_adds * times / median(_spent(multiply, times) for _ in range(9))


def _spent(function: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        function()
    return time.process_time() - began
