"""What a search makes of the speech so far: the words to show, and how many of them will not change any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asr.search.base import SPACE, SearchState
from asr.text import Alphabet

if TYPE_CHECKING:
    from asr.search.words import LexiconSearch


class Partial(NamedTuple):
    """The words of the best hypothesis so far; the last may be unfinished.

    The first `stable` of them begin every hypothesis of the beam. All later hypotheses go on from one of these,
    so no sound that follows can change them.
    """

    words: tuple[str, ...]
    stable: int


def greedy_so_far(text: str) -> Partial:
    """A greedy text only ever grows at its end."""
    words = tuple(text.split())
    return Partial(words, max(0, len(words) - 1))


def letters_so_far(state: SearchState, alphabet: Alphabet) -> Partial:
    """For BeamSearch: a word is finished where a space follows it."""
    chain, common = common_prefix([prefix for prefix, _, _ in state.beam])
    symbols = [prefix.symbol for prefix in chain[1:]]
    finished = alphabet.decode(symbols[:common]).split(SPACE)[:-1]
    return Partial(tuple(alphabet.decode(symbols).split()), sum(map(bool, finished)))


def words_so_far(state, search: LexiconSearch) -> Partial:
    """For LexiconSearch, whose own state it is."""
    words, stable = search.so_far(state)
    return Partial(tuple(words), stable)


def common_prefix(nodes: list) -> tuple[list, int]:
    """Nodes with `parent` and `number`: the chain from the root to the first, and after how many it parts from any."""
    chain, node = [], nodes[0]
    while node is not None:
        chain.append(node)
        node = node.parent
    chain.reverse()
    depth = {node.number: i for i, node in enumerate(chain)}
    common = len(chain) - 1
    for node in nodes[1:]:
        while node.number not in depth:
            node = node.parent
        common = min(common, depth[node.number])
    return chain, common
