"""The stopwatch of stages, and the arithmetic beside it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arithmetic import Product, multiply_adds, seconds
from benchmarks.stopwatch import REST, Point, Stopwatch

MANIFEST = Path(__file__).parent / "data" / "clips.jsonl"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Kitchen:
    """Work that takes a known time."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def meal(self, dishes: int) -> int:
        self.clock.now += 1
        return sum(self.dish() for _ in range(dishes))

    def dish(self) -> int:
        self.clock.now += 10
        return 1


POINTS = (
    Point("meal", Kitchen, "meal", lambda kitchen, dishes: [Product(dishes, 2, 3)]),
    Point("dish", Kitchen, "dish"),
)


@given(st.lists(st.integers(0, 5), max_size=5))
def test_a_stage_has_its_own_time_only(meals):
    clock, meal = Clock(), Kitchen.meal
    kitchen, watch = Kitchen(clock), Stopwatch(clock)
    with watch.running(POINTS):
        clock.now += 0.5
        assert [kitchen.meal(dishes) for dishes in meals] == meals
    assert (watch.spent["meal"], watch.spent["dish"], watch.spent[REST]) == (len(meals), 10 * sum(meals), 0.5)
    assert multiply_adds(watch.work["meal"]) == 6 * sum(meals) and watch.calls["dish"] == sum(meals)
    assert Kitchen.meal is meal


def test_a_failing_stage_ends():
    watch = Stopwatch(clock := Clock())
    with pytest.raises(TypeError), watch.running(POINTS):
        Kitchen(clock).meal("no number")
    with watch.running(()):
        clock.now += 3
    assert watch.spent[REST] == 3


def test_items_are_timed_where_they_are_made():
    clock = Clock()
    kitchen, watch = Kitchen(clock), Stopwatch(clock)
    with watch.running(()):
        for _ in watch.each("dishes", (kitchen.dish() for _ in range(3))):
            clock.now += 1
    assert (watch.spent["dishes"], watch.spent[REST]) == (30, 3)


def test_twice_the_products_need_twice_the_time():
    product = Product(300, 64, 96)
    assert seconds({product: 2}) == pytest.approx(2 * seconds({product: 1})) and seconds({product: 1}) > 0
    assert seconds({}) == seconds({Product(0, 64, 96): 5}) == 0
