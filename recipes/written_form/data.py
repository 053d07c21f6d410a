"""Pairs to learn from: stretches of sentences, real ones and templates, with what is to be written for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from random import Random
from zlib import crc32

from asr.written.numbers import Dates
from asr.written.reading import read
from asr.written.stretches import stretches
from recipes.written_form import draw
from recipes.written_form.mine import Sentence
from recipes.written_form.say import Item

DATES: tuple[Dates, ...] = ("said", "us", "uk")
DRAWN = frozenset(["cardinal", "decimal", "scaled", "ordinal", "year", "decade", "date", "month", "time", "money"])
DRAWN |= {"percent", "measure", "telephone"}  # in mined sentences, these may be replaced by values drawn


@dataclass(frozen=True)
class Example:
    """``words[first:last]`` is written as ``text`` when the order of dates is ``dates``."""

    words: tuple[str, ...]
    first: int
    last: int
    dates: str
    text: str


def templates(tested: bool) -> dict[str, list[str]]:
    """Kind -> its sentences with {} for the value; ``tested``: those that are never learnt from."""
    found: dict[str, list[str]] = {}
    for line in resources.files("recipes.written_form").joinpath("templates.txt").read_text("utf-8").splitlines():
        kind, _, sentence = line.partition("\t")
        if sentence and sentence.startswith("!") == tested:
            found.setdefault(kind, []).append(sentence.removeprefix("!"))
    return found


def reserved(item: Item) -> bool:
    """Is this value one of the sixteenth that only tests use? Of values with three digits and more, or of names."""
    value = item.us or item.said
    return crc32(value.encode()) % 16 == 0 and (sum(c.isdigit() for c in value) > 2 or "@" in value)


def filled(template: str, kind: str, rng: Random, names: list[str], tested: bool = False) -> Sentence:
    """A template with a value: one that is reserved for tests, or one that is not."""
    if kind == "none":
        return [("", template)]
    while True:
        item = draw.address(rng, names) if kind == "address" else draw.KINDS[kind](rng)
        few = sum(c.isdigit() for c in item.said) < 3 and "@" not in item.said  # too few values to keep some away
        if few or reserved(item) == tested:
            break
    before, _, after = template.partition("{}")
    return [("", before), (kind, item), ("", after)]


def redrawn(sentence: Sentence, rng: Random) -> Sentence:
    """The sentence with other values of the same kinds."""
    out: Sentence = []
    for kind, part in sentence:
        item = draw.KINDS[kind](rng) if kind in DRAWN else part
        out.append((kind, part if isinstance(item, Item) and reserved(item) else item))
    return out


def words_of(sentence: Sentence) -> tuple[list[str], list[tuple[int, int, Item]]]:
    """The words said, and where the items are among them."""
    words: list[str] = []
    items = []
    for _, part in sentence:
        said = (part.spoken if isinstance(part, Item) else part).split()
        if isinstance(part, Item):
            items.append((len(words), len(words) + len(said), part))
        words += said
    return words, items


def written(sentence: Sentence, dates: str = "said") -> str:
    return " ".join(part.written(dates) if isinstance(part, Item) else part.strip() for _, part in sentence).strip()


def examples(sentence: Sentence, dates: str, problems: Counter[str]) -> Iterator[Example]:
    """The stretches of a sentence; those are left out that cut an item, or that the reader does not read."""
    words, items = words_of(sentence)
    found = stretches(words)
    inside = {i for first, last in found for i in range(first, last)}
    for first, last, item in items:
        if not inside.issuperset(range(first, last)):
            problems[f"not found: {item.spoken} as {item.said}"] += 1
    for first, last in found:
        text = _text(words, items, first, last, dates)
        if text is None:
            problems["cut"] += 1
        elif not read(text, words[first:last]):
            problems[f"not read: {' '.join(words[first:last])} as {text}"] += 1
        elif last - first > 1 or text not in words:
            yield Example(tuple(words), first, last, dates, text)


def _text(words: list[str], items: list[tuple[int, int, Item]], first: int, last: int, dates: str) -> str | None:
    parts, at = [], first
    for begin, end, item in items:
        if end <= first or begin >= last:
            continue
        if begin < first or end > last:
            return None
        parts += [*words[at:begin], item.written(dates)]
        at = end
    return " ".join([*parts, *words[at:last]])


def mixture(mined: Iterable[Sentence], names: list[str], count: int, rng: Random) -> Iterator[Sentence]:
    """Templates, and two fifths mined sentences, most of those with other values."""
    by_kind = templates(tested=False)
    kinds = sorted(by_kind)
    several = (
        "cardinal money date telephone digits digits digits code code code pairs pairs pairs year none none".split()
    )
    mined = list(mined)
    for _ in range(count):
        if rng.random() < 0.4:
            sentence = rng.choice(mined)
            yield redrawn(sentence, rng) if rng.random() < 0.6 else sentence
        else:
            kind = rng.choice(kinds if rng.random() < 0.5 else several)
            yield filled(rng.choice(by_kind[kind]), kind, rng, names)
