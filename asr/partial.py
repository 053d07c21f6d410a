"""What a search makes of the speech so far: the words to show, and how many of them will not change any more."""

from __future__ import annotations

from typing import NamedTuple

from asr.lexicon_search import LexiconSearch
from asr.search import SPACE, SearchState
from asr.text import Alphabet

LEAST = 0.007  # of a place's probability against the best one's (5 nats), to be shown


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
    chain, common = _agreed([prefix for prefix, _, _ in state.beam])
    symbols = [prefix.symbol for prefix in chain[1:]]
    finished = alphabet.decode(symbols[:common]).split(SPACE)[:-1]
    return Partial(tuple(alphabet.decode(symbols).split()), sum(map(bool, finished)))


def words_so_far(state: SearchState, search: LexiconSearch) -> Partial:
    """For LexiconSearch: the likeliest text if speech ended here; the finished words of the best if no word does.

    Only of places about as likely as the best one. So a word is shown as soon as it has been said, though the best
    place may be in the middle of a longer word.
    """
    shown, likeliest = state.beam[0][0], 0.0
    for text, node, in_blank, in_symbol in state.beam:
        probability = in_blank + in_symbol  # of the best place: 1
        if probability < LEAST:
            break
        for factor, ended in search.ends(text, node)[:1] if node.depth else [(1.0, text)]:
            if probability * factor > likeliest:
                shown, likeliest = ended, probability * factor
    return Partial(tuple(shown.words()), _agreed([text for text, _, _, _ in state.beam])[1])


def _agreed(nodes: list) -> tuple[list, int]:
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
