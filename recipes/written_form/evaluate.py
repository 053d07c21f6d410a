"""``python -m recipes.written_form.evaluate MODEL SET...``: how much is written right, stays in words, or is wrong.

A set is ``made``, or ``made:SEED``: 2,000 items of templates and values that training has never seen; or ``found``:
the sentences of found.tsv, from real text; or a file of pairs, written TAB spoken, one a line; or ``plain:FILE``: text
in which nothing is to be changed; or ``cases:FOLDER``: NeMo's test cases, ``test_cases_KIND.txt``, spoken ~ written.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from asr.attention.seq2seq import Seq2Seq
from asr.files import each_line
from asr.text import normalise
from asr.written.numbers import Dates, NumberWriter
from asr.written.stretches import CURRENCIES, MONTHS, NUMBER_WORDS, SCALES
from recipes.written_form.data import DATES, filled, templates, words_of, written
from recipes.written_form.found import sentences
from recipes.written_form.mine import mine
from recipes.written_form.say import Item

ITEMS = 2000
SEED = 8  # of those made
PLAIN = 200_000  # words without numbers
NAMES = Path(__file__).with_name("names.txt")


@dataclass(frozen=True)
class Case:
    """Words said, and how they are written; dates: in which order."""

    kind: str
    words: list[str]
    expected: str
    dates: Dates = "said"


def made(seed: int) -> Iterator[Case]:
    """As many of each kind; most values are reserved for this (see data.reserved)."""
    rng, names = Random(seed), NAMES.read_text("utf-8").split()
    sentences = templates(tested=True)
    for number in range(ITEMS):
        kind = sorted(sentences)[number % len(sentences)]
        sentence = filled(rng.choice(sentences[kind]), kind, rng, names, tested=True)
        dates = rng.choice(DATES)
        yield Case(kind, words_of(sentence)[0], written(sentence, dates), dates)


def pairs(path: Path) -> Iterator[Case]:
    """Sentences with something to write; those are left out whose other words are not the same in both columns."""
    for line in each_line(str(path)):
        text, _, spoken = line.partition("\t")
        text = re.sub(r" ([,.;:)])", r"\1", text.replace("`` ", "").replace("$ ", "$"))
        sentence, words = mine(text, Random(1)), normalise(spoken)
        kinds = {kind for kind, _ in sentence or [] if kind not in ("", "plain")}
        parts = [_pattern(kind, part) for kind, part in sentence or []]
        if sentence and kinds and re.fullmatch(" ".join(parts), words):
            yield Case(min(kinds) if len(kinds) == 1 else "several", words.split(), written(sentence))


def _pattern(kind: str, part: Item | str) -> str:
    """What has to be said for it: letters one by one, other items in any way."""
    if isinstance(part, Item):
        return part.spoken if kind in ("letters", "initials") else "(.+)"
    return part.strip()


def cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("test_cases_*.txt")):
        for line in each_line(str(path)):
            spoken, _, text = line.partition("~")
            yield Case(path.stem.removeprefix("test_cases_"), normalise(spoken).split(), text.lower())


def said(writer: NumberWriter, words: list[str]) -> str:
    """The words with the writer's spans."""
    parts, at = [], 0
    for span in writer.spans(words):
        parts += [*words[at : span.first], span.text]
        at = span.last
    return " ".join([*parts, *words[at:]])


_MONTH = "|".join(month.lower() for month in MONTHS)
Replacement = str | Callable[[re.Match[str]], str]
_LOOSE: list[tuple[re.Pattern[str], Replacement]] = [  # what the words do not tell, or only style decides
    (re.compile(r"(?<=\d),(?=\d\d\d)|(?<=\d)-(?=\d)"), ""),
    (re.compile(rf"(?<=\d),(?= \d{{4}}\b)|\bthe (?=\d+(?:st|nd|rd|th) of (?:{_MONTH}))"), ""),
    (re.compile(rf"\b({_MONTH}) (\d+)(?:st|nd|rd|th)\b"), r"\1 \2"),
    (re.compile(rf"\b(\d+)(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b"), r"\2 \1"),
    (
        re.compile(r"([$€£¥])([\d.]+)( million| billion| trillion)?"),
        lambda m: f"{m[2]}{m[3] or ''} {CURRENCIES[m[1]][m[2] != '1']}",
    ),
    (re.compile(r"([ap])\.m\."), r"\1m"),
    (re.compile(r"(?<![\d.])(?=\.\d)"), "0"),
    (re.compile(r"(?<=\d) (?=[%°])"), ""),
    (re.compile(r"\b0(?=\d:\d\d)|:00\b| o'clock|(?<=[$€£]) "), ""),
]


def plain_form(text: str) -> str:
    """Without commas and hyphens; order and endings of days, scales, pounds, a.m.: alike means the same value."""
    text = text.lower()
    for pattern, to in _LOOSE:
        text = pattern.sub(to, text)
    return re.sub(
        r"(\d+(?:\.\d+)?) (million|billion|trillion)\b", lambda m: str(round(float(m[1]) * SCALES[m[2]])), text
    )


SMALL_WORDS = {word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine".split())}


def figures(text: str) -> Counter[str]:
    """The numbers written in figures."""
    return Counter(re.findall(r"\d+(?:[.:/]\d+)*", plain_form(text)))


@dataclass
class Tally:
    """Of a kind: items, those right, those that stayed in words, those wrong."""

    items: int = 0
    exact: int = 0
    same: int = 0
    words: int = 0
    wrong: int = 0


def judge(cases: Iterable[Case], texts: Iterable[str], show: int) -> dict[str, Tally]:
    tallies: dict[str, Tally] = defaultdict(Tally)
    for case, text in zip(cases, texts, strict=True):
        small = _small(case.expected, text)
        exact, same = text in (case.expected, small), plain_form(text) in (plain_form(case.expected), plain_form(small))
        wrong = not same and bool(figures(text) - figures(case.expected))
        for tally in (tallies[case.kind], tallies["all"]):
            tally.items += 1
            tally.exact += exact
            tally.same += same
            tally.wrong += wrong
            tally.words += not same and not wrong
        if not same and show > 0:
            show -= 1
            print(f"{'WRONG' if wrong else 'words'} {case.kind} {case.dates}: {text} | {case.expected}")
    return dict(tallies)


def _small(expected: str, text: str) -> str:
    """The text expected, with its numbers below ten in words where the writer left them so: that is its default."""
    ours, got = expected.split(" "), text.split(" ")
    if len(ours) != len(got):
        return expected
    return " ".join(g if SMALL_WORDS.get(g) == e else e for e, g in zip(ours, got))


def wilson(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, p = 1.96, right / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + (z / (2 * of)) ** 2)
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def changed(path: Path, writer: NumberWriter, most: int) -> tuple[int, int, float, list[str]]:
    """(words changed, words, ms a word, examples) in lines of text without numbers."""
    words = hit = 0
    seconds, shown = 0.0, []
    for line in each_line(str(path)):
        sentence = None if re.search(r"\d", line) else mine(line, Random(1))
        if sentence is None or any(kind not in ("", "plain") for kind, _ in sentence):
            continue
        said_words = normalise(line).split()
        if not NUMBER_WORDS.isdisjoint(set(said_words) - {"one", "second", "first"}):
            continue
        began = time.perf_counter()
        spans = writer.spans(said_words)
        seconds += time.perf_counter() - began
        words += len(said_words)
        hit += sum(span.last - span.first for span in spans)
        shown += [f"{' '.join(said_words[s.first : s.last])} > {s.text}" for s in spans]
        if words >= most:
            break
    return hit, words, 1000 * seconds / max(words, 1), shown


def _cases(name: str) -> Iterator[Case]:
    if name.startswith("cases:"):
        return cases(Path(name.removeprefix("cases:")))
    if name == "found":
        return (Case(found.source, found.words, found.expected) for found in sentences())
    kind, _, seed = name.partition(":")
    return made(int(seed or SEED)) if kind == "made" else pairs(Path(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--show", type=int, default=20, help="misses to show of each set")
    parser.add_argument("--most", type=int, default=10**6, help="cases of each set; 100 times as many plain words")
    parser.add_argument("--words", type=Path, help="write the words of the (single) set's cases here, and end")
    parser.add_argument("--peer", type=Path, help="judge these lines, which something else wrote for those words")
    args = parser.parse_args()
    writers = {dates: NumberWriter(dates, model=args.model) for dates in DATES}
    model = Seq2Seq.load(args.model)
    for writer in writers.values():
        writer.__dict__["model"] = model
    for name in args.sets:
        if name.startswith("plain:"):
            most = min(PLAIN, 100 * args.most)
            hit, words, ms, shown = changed(Path(name.removeprefix("plain:")), writers["said"], most)
            print(
                f"{name}: {hit} of {words} words changed, {1e4 * hit / max(words, 1):.2f} in 10,000; {ms:.4f} ms a word"
            )
            print("   " + "; ".join(shown[: args.show]))
            continue
        kept = list(islice(_cases(name), args.most))
        if args.words:
            args.words.write_text("".join(f"{' '.join(case.words)}\n" for case in kept), "utf-8")
            return
        ours = (said(writers[case.dates], case.words) for case in kept)
        texts = args.peer.read_text("utf-8").splitlines() if args.peer else ours
        print(f"{name}\n{'kind':12} items  exact   same  words  wrong")
        for kind, t in sorted(judge(kept, texts, args.show).items()):
            low, high = wilson(t.same, t.items)
            rest = f"{100 * t.words / t.items:6.1f} {t.wrong:6}   ({100 * low:.1f} to {100 * high:.1f})"
            print(f"{kind:12} {t.items:5} {100 * t.exact / t.items:6.1f} {100 * t.same / t.items:6.1f} {rest}")


if __name__ == "__main__":
    main()
