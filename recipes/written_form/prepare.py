"""Text to pairs: ``python -m recipes.written_form.prepare OUT FILE...`` writes pairs.tsv and held-out.tsv.

Every fortieth mined sentence is held out. A pair is a line: symbols of the stretch in its context, TAB, symbols to
write.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from zlib import crc32

from asr.files import each_line
from asr.text import normalise
from asr.written.numbers import KEEP, SPACE, placed, source
from asr.written.stretches import CLOSED, MONTHS, UNITS, stretches
from recipes.written_form.data import DATES, Example, examples, mixture, words_of
from recipes.written_form.mine import Sentence, mine

CONTEXT_WORDS = 700
LINES = 15_000  # that hold something to mine, of each file
PLAIN = 4  # so many times as many as lines without
PAIRS = 500_000
HELD_OUT = 125  # of so many pairs, one more of held-out sentences
SHARDS = 4
_UNITS = "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))
_SYMBOL = re.compile(
    rf"[ap]\.m\.|o'clock|(?<=[\dn] )(?:{_UNITS})(?![A-Za-z])|°[CF]|{'|'.join(MONTHS)}|(?<=\d)(?:st|nd|rd|th)\b"
    r"|[a-z']+|."
)


def sentences(file: Path, rng: Random) -> Iterator[tuple[str, Sentence]]:
    """Lines with something in them that the detector finds, and what they hold."""
    for line in each_line(str(file)):
        text = line.split("\t")[0].replace(" ,", ",").replace(" .", ".").replace("`` ", "")
        for part in re.split(r"(?<=[.?!]) +(?=[A-Z])", text[:2000]):
            if stretches(normalise(part).split()) or re.search(r"\d", part):
                sentence = mine(part, rng)
                if sentence and stretches(words_of(sentence)[0]):
                    yield part, sentence


def gather(file: Path, lines: int) -> list[tuple[str, Sentence]]:
    """Sentences with what was mined in them, each once, those without items as a small part."""
    rng, counts, found = Random(file.name), Counter[bool](), dict[str, Sentence]()
    most = {True: lines, False: lines // PLAIN}
    for text, sentence in sentences(file, rng):
        has = any(kind not in ("", "plain") for kind, _ in sentence)
        if all(counts[kind] >= most[kind] for kind in most):
            break
        if text not in found and counts[has] < most[has]:
            counts[has] += 1
            found[text] = sentence
    print(f"{file.name}: {counts[True]} sentences with items, {counts[False]} without", flush=True)
    return list(found.items())


def names(sentences: list[Sentence]) -> list[str]:
    """Words of three to ten letters, for addresses."""
    found = {word for s in sentences for word in words_of(s)[0] if 3 <= len(word) <= 10 and word.isalpha()}
    return sorted(found - CLOSED)


def target(text: str, words: Sequence[str]) -> list[str]:
    """Symbols of the text of a stretch. Raises ValueError where it holds a word that the stretch lacks."""
    if text == " ".join(words):
        return [KEEP]
    places = {word: place for place, word in placed(words).items()}
    out: list[str] = []
    at = 0
    for symbol in _SYMBOL.findall(text):
        if symbol == " ":
            out.append(SPACE)
        elif re.fullmatch(r"[a-z']{1,}", symbol) and symbol not in ("st", "nd", "rd", "th", "s", "o'clock", *UNITS):
            parts, at = _parts(symbol, words, at)
            out += [places.get(part, part) for part in parts]
        else:
            out.append(symbol)
    return out


def _parts(text: str, words: Sequence[str], at: int) -> tuple[list[str], int]:
    """Letters as the words of the stretch, from the ``at``-th on, that were written together."""
    for start in [*range(at, len(words)), *range(at)]:
        for end in range(start + 1, len(words) + 1):
            joined = "".join(words[start:end])
            if joined == text:
                return list(words[start:end]), end
            if not text.startswith(joined):
                break
    raise ValueError(f"{text} is not among the words")


def symbols(example: Example, known: frozenset[str]) -> tuple[str, str] | None:
    try:
        written = target(example.text, example.words[example.first : example.last])
    except ValueError:
        return None
    return " ".join(source(example.words, example.first, example.last, example.dates, known)), " ".join(written)


def shard(mined: list[Sentence], known: frozenset[str], count: int, seed: int) -> tuple[list[str], Counter[str]]:
    """Lines of pairs, and what was left out, and why."""
    rng, problems, done = Random(seed), Counter[str](), dict[str, None]()
    for sentence in mixture(mined, names(mined), 10 * count, rng):
        for example in examples(sentence, rng.choice(DATES), problems):
            if pair := symbols(example, known):
                done["\t".join(pair)] = None
        if len(done) >= count:
            break
    return list(done), problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--lines", type=int, default=LINES, help=f"that hold a number, of each file (default: {LINES})")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.workers) as pool:
        mined = dict(chain.from_iterable(pool.map(partial(gather, lines=args.lines), args.files)))
        held_out = [s for text, s in mined.items() if crc32(text.encode()) % 40 == 0]
        learnt = [s for text, s in mined.items() if crc32(text.encode()) % 40]
        around = Counter(word for s in learnt for word in words_of(s)[0] if word not in CLOSED)
        known = CLOSED | {word for word, _ in around.most_common(CONTEXT_WORDS)}
        work = [(learnt, known, args.pairs // SHARDS, seed) for seed in range(1, SHARDS + 1)]
        found = pool.map(shard, *zip(*work, (held_out, known, args.pairs // HELD_OUT, 0)))
        for number, (lines, problems) in enumerate(found, 1):
            name = "pairs" if number <= SHARDS else "held-out"
            with open(args.out / f"{name}.tsv", "w" if number in (1, SHARDS + 1) else "a", encoding="utf-8") as out:
                out.write("".join(f"{line}\n" for line in lines))
            print(f"{name}: {len(lines)} pairs, {problems.total()} left out, as {problems.most_common(3)}", flush=True)


if __name__ == "__main__":
    main()
