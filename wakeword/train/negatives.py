"""What is not the phrase: packaged speech and noise, recordings that the user gives, texts that sound like it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations, product
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from asr.audio.features import SAMPLE_RATE
from asr.audio.files import AudioCutOff, AudioError
from asr.commands.terminal import say
from asr.errors import Error
from asr.text import normalise
from asr.training.data import ManifestError, read_manifest
from wakeword.phrase import alike, beginning, containing, pronounce, punctuated, says, spelt_alike

DATA = Path(__file__).parent.parent / "data"
MIN_RECORDING_S = 0.1  # s of a recording
SILENT = 2e-3  # between the lowest and the highest sample: peaks of -60 dBFS


class NegativesError(Error, ValueError):
    """Recordings cannot be used; one sentence says which and what to do."""


@dataclass(frozen=True)
class Clip:
    samples: np.ndarray  # (n,) float32 at 16 kHz
    text: str  # normalised; "" for noise, and where nobody wrote down what is said
    corpus: str
    speaker: str


def read(split: str) -> list[Clip]:
    """The packaged clips of "train" or "held-out", those of noise without text. Decodes up to an hour and a half."""
    try:
        rows = [json.loads(line) for line in (DATA / "negatives.jsonl").open(encoding="utf-8")]
        rows = [row for row in rows if row["split"] == split]
        sounds = {file: soundfile.read(DATA / file, dtype="float32")[0] for file in {row["file"] for row in rows}}
        clips = [_cut(sounds[row["file"]], row) for row in rows]
    except (OSError, ValueError, KeyError, soundfile.LibsndfileError) as error:
        raise NegativesError(f"install again: the packaged negatives in {DATA} are damaged ({error})") from None
    return clips


def _cut(sound: np.ndarray, row: dict) -> Clip:
    start, n = round(row["start"] * SAMPLE_RATE), round(row["duration"] * SAMPLE_RATE)
    if start + n > len(sound):
        raise ValueError(f"{row['file']} is too short")
    return Clip(sound[start : start + n], row["text"], row["corpus"], row["speaker"])


def without(clips: Iterable[Clip], phrase: str) -> list[Clip]:
    """Those whose text does not say the phrase, nor anything that sounds the same."""
    phrase = normalise(phrase)
    return [clip for clip in clips if not says(clip.text, phrase)]


def recordings(path: Path | str, report: Callable[[str], None] = say) -> list[Clip]:
    """The user's own: an audio file, a folder of them, or a JSONL manifest as asr.training.data reads it.

    What is broken, silent or too short is reported in a sentence each and left out. Raises NegativesError if nothing
    is left.
    """
    clips = []
    for source, *about in _listed(Path(path)):
        try:
            if isinstance(source, AudioError):
                raise source
            clips.append(Clip(_heard(source, report), *about))
        except AudioError as error:
            report(f"left out: {error}")
    if not clips:
        raise NegativesError(f"nothing in {path} can be used: give audio files in which something is heard")
    return clips


def _listed(path: Path) -> list[tuple[str | AudioError, str, str, str]]:
    """-> file, text, corpus, speaker of each recording."""
    if path.suffix != ".jsonl":
        return [(source, "", path.name, "unknown") for source in audio.find([str(path)])]
    try:
        return [(str(u.path), u.text, u.corpus, u.speaker) for u in read_manifest(path, parts=False)]
    except ManifestError as error:
        raise NegativesError(str(error)) from None


def _heard(source: str, report: Callable[[str], None]) -> np.ndarray:
    """(n,) samples; of a file that breaks off, what could be read."""
    pieces = [np.zeros(0, np.float32)]
    try:
        for block in audio.blocks(source):
            pieces.append(block)
    except AudioCutOff as error:
        report(str(error))
    samples = np.concatenate(pieces)
    if len(samples) < MIN_RECORDING_S * SAMPLE_RATE:
        raise AudioError(f"{source} holds {len(samples) / SAMPLE_RATE:.2f} s only")
    if np.ptp(samples) < SILENT:
        raise AudioError(f"{source} is silent")
    return samples


MAX_SOUND_ALIKES = 40  # sound-alikes taken for a word
SENTENCES = (
    "where is the {}", "what about {}", "i like {} a lot", "that was {} on the phone", "is it {} again",
    "we saw {} yesterday", "{} is fine with me", "did you say {}", "he went home with {}", "turn left at {}",
    "{} and then we eat", "i have never heard of {}", "there are more {} here", "it sounds like {} to me",
    "please read {} once more", "{} was late today", "my friend calls it {}", "who is {}", "put {} on the table",
    "it costs more than {}", "tell me about {} please", "some {} would be nice", "{} or something", "no not {}",
)  # fmt: skip
# a consonant letter -> others that are heard as another sound, though a near one (not d for t: "wader", "waiter")
_SWAPS = {
    "b": "pdv", "c": "tpg", "d": "bg", "f": "sv", "g": "dbk", "h": "fl", "j": "dl", "k": "tpg", "l": "rw", "m": "nb",
    "n": "md", "p": "btk", "r": "ln", "s": "ft", "t": "pk", "v": "bz", "w": "vl", "x": "tb", "y": "lr", "z": "vd",
}  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """How much of the near-misses is of which kind, as far as the phrase has some."""

    alike: float = 0.30  # a word swapped for one that sounds like it: "hey commuter"
    parts: float = 0.24  # some of its words, a word's beginning or end: "hey", "compute", "puter"
    sentences: float = 0.24  # any of the others within an ordinary sentence
    respelt: float = 0.08  # a consonant changed: "hey tomputer"
    orders: float = 0.08  # its words in another order, or one of them twice
    longer: float = 0.06  # the phrase inside a longer word: "hey computers"; its end sounds alike, so few


def near_misses(phrase: str, count: int, rng: np.random.Generator, shares: Shares = Shares()) -> list[str]:
    """Up to ``count`` different texts with punctuation, none of which says the phrase, which is normalised."""
    pools = {kind: _shuffled(texts, phrase, rng) for kind, texts in _kinds(phrase.split()).items()}
    fillings = [text for texts in pools.values() for text in texts]
    pools["sentences"] = _shuffled({s.format(f) for s, f in zip(SENTENCES * count, fillings * 3)}, phrase, rng)
    chosen: dict[str, None] = {}  # in order; a text can be of two kinds
    while len(chosen) < count and (left := [kind for kind, texts in pools.items() if texts]):
        weights = np.array([asdict(shares)[kind] for kind in left])
        chosen[pools[str(rng.choice(left, p=weights / weights.sum()))].pop()] = None
    return [str(rng.choice(punctuated(text))) for text in chosen]


def _shuffled(texts: Iterable[str], phrase: str, rng: np.random.Generator) -> list[str]:
    """Those that do not say the phrase, in the generator's order."""
    return rng.permutation([text for text in sorted(set(texts)) if not says(text, phrase)]).tolist()


def _kinds(words: list[str]) -> dict[str, list[str]]:
    return {
        "alike": [*_swapped(words, _sound_alikes), *_split(words)],
        "parts": [*_runs(words), *(part for word in words for part in _pieces(word))],
        "respelt": _swapped(words, _respelt),
        "orders": _orders(words),
        "longer": _swapped(words, _longer),
    }


def _swapped(words: list[str], others: Callable[[str], Iterable[str]]) -> list[str]:
    """The phrase with one word replaced."""
    return [" ".join([*words[:i], other, *words[i + 1 :]]) for i, word in enumerate(words) for other in others(word)]


def _sound_alikes(word: str) -> list[str]:
    said = pronounce(word)
    near = alike(said, _far(said)) if said else spelt_alike(word, _far(word))
    return [other for other, distance in near.items() if distance][:MAX_SOUND_ALIKES]


def _far(sounds: Sequence[str]) -> int:
    """An edit distance that leaves more than half of a word as it was."""
    return max(1, round(0.4 * len(sounds)))


def _split(words: list[str]) -> Iterator[str]:
    """Two words that together sound like the phrase: "jar this" for "jarvis"."""
    said = pronounce(" ".join(words)) or []
    for i in range(2, len(said) - 1):
        first, last = (list(alike(part, 1))[:4] for part in (said[:i], said[i:]))
        yield from (f"{a} {b}" for a, b in product(first, last))


def _runs(words: list[str]) -> list[str]:
    """Neighbouring words of the phrase, fewer than all."""
    n = len(words)
    return [" ".join(words[i:j]) for i in range(n) for j in range(i + 1, n + 1) if j - i < n]


def _pieces(word: str) -> list[str]:
    """Beginnings and endings of a word, and other words that begin like it: "com", "compute", "puter", "complete"."""
    heads = [word[:i] for i in range(3, len(word)) if re.search("[aeiouy]", word[:i])]
    tails = [word[i:] for i in range(len(word) // 3, len(word) - 2) if re.match("[^aeiouy'][aeiouy]", word[i:])]
    said = pronounce(word) or []
    same = beginning(said[: max(3, -(-len(said) // 2))]) if len(said) > 3 else []
    return [*heads, *tails, *sorted(same, key=lambda other: abs(len(other) - len(word)))[:MAX_SOUND_ALIKES]]


def _respelt(word: str) -> list[str]:
    """One consonant letter changed; voices read such a word as it is spelt."""
    return [word[:i] + new + word[i + 1 :] for i, old in enumerate(word) for new in _SWAPS.get(old, "")]


def _orders(words: list[str]) -> list[str]:
    """The first four words in every other order, and each word twice."""
    doubled = [f"{word} {word}" for word in words] if len(words) > 1 else []
    return [" ".join(order) for order in permutations(words[:4])][1:] + doubled


def _longer(word: str) -> list[str]:
    """Longer words that hold this one: by rule, and from the lexicon by sound."""
    plural = word + ("es" if re.search("([sxz]|[cs]h)$", word) else "s")
    if len(word) < 4:  # too much holds "hey"
        return [plural]
    stem = word.removesuffix("e")
    said = pronounce(word) or []
    known = sorted(containing(said), key=len)[:MAX_SOUND_ALIKES] if len(said) > 3 else []
    return [plural, f"{word}'s", f"re{word}", *(stem + end for end in ("ed", "ing", "ised")), *known]
