"""CPU time of the stages of a program while it runs as ever: a watch stands before the functions that are stages."""

from __future__ import annotations

import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from benchmarks.arithmetic import Product

REST = "the rest"


class Point(NamedTuple):
    """A function, or a method of a class, that belongs to a stage."""

    stage: str
    owner: object  # the class or module
    name: str
    work: Callable[..., Iterable[Product]] | None = None  # the matrix products of a call, by its arguments


class Stopwatch:
    """Seconds of each stage, without those of the stages that it calls; what is in none is the rest.

    A call that is watched costs about a microsecond more, half of it within its stage.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time):
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.work: defaultdict[str, Counter[Product]] = defaultdict(Counter)  # how often each product is calculated
        self._clock, self._stages, self._since = clock, [REST], 0.0

    @contextmanager
    def running(self, points: Sequence[Point]) -> Iterator[None]:
        """Watch these functions, whoever calls them, and count the time until the end of the context."""
        with ExitStack() as stack:
            for point in points:
                function = getattr(point.owner, point.name)
                stack.enter_context(patch.object(point.owner, point.name, self.timed(point, function)))
            self._since = self._clock()
            yield
            self._turn()

    def timed(self, point: Point, function: Callable) -> Callable:
        """The function, whose time counts for the point's stage."""

        @functools.wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            if point.work:
                self.work[point.stage].update(point.work(*arguments, **named))
            self.calls[point.stage] += 1
            with self._within(point.stage):
                return function(*arguments, **named)

        return watched

    def each(self, stage: str, items: Iterable) -> Iterator:
        """The items; the time in which they are made counts for the stage."""
        iterator, nothing = iter(items), object()
        while True:
            with self._within(stage):
                item = next(iterator, nothing)
            if item is nothing:
                return
            yield item

    @contextmanager
    def _within(self, stage: str) -> Iterator[None]:
        self._turn()
        self._stages.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._stages.pop()

    def _turn(self) -> None:
        now = self._clock()
        self.spent[self._stages[-1]] += now - self._since
        self._since = now
