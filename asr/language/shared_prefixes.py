"""What texts have in common at their beginning, for recurrent language models that score many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Level(NamedTuple):
    """The distinct prefixes of one length: each is one of the level before and a token more."""

    parents: list[int]  # places in the level before; the first level's parent is 0, the empty prefix
    tokens: list[int]


def shared_prefixes(rows: Sequence[list[int]]) -> tuple[list[Level], list[list[int]]]:
    """Rows of ids -> the distinct prefixes by length, from 1; of each row, where its prefixes stand in all levels."""
    levels: list[Level] = []
    at, places, before = [0] * len(rows), [[] for _ in rows], 0
    for t in range(max(map(len, rows))):
        going = [i for i, row in enumerate(rows) if t < len(row)]
        numbers = {pair: k for k, pair in enumerate(dict.fromkeys((at[i], rows[i][t]) for i in going))}
        for i in going:
            at[i] = numbers[at[i], rows[i][t]]
            places[i].append(before + at[i])
        levels.append(Level([parent for parent, _ in numbers], [token for _, token in numbers]))
        before += len(numbers)
    return levels, places
