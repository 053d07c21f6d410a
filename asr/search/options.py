"""What to decode with: which search and models, what words to expect, and what the parts of a score count for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from asr.errors import UsageError
from asr.model.checkpoint import CheckpointError
from asr.search.base import LexiconOptions, SearchOptions
from asr.search.hotwords import Hotword
from asr.search.lexicon import Pronunciation


@dataclass(frozen=True)
class Weights:
    """What the parts of a score are multiplied by. None stands for the value on the model's card, where
    recipes.english.tune writes what it finds, or else for the default.
    """

    lm: float | None = None  # of the language model's ln probability
    word: float | None = None  # ln, for every word
    prior: float | None = None  # of the prior that the model's outputs are divided by
    letters: float | None = None  # of a text's ln probability by the letters, where phonemes were searched
    rnn: float | None = None  # of the language model's share that the recurrent one takes over, where it is packaged
    attention: float | None = None  # of a text's ln probability by the attention decoder, where it is asked

    def over(self, others: Weights) -> Weights:
        """These; the others where there are none."""
        return Weights(**(asdict(others) | self.given))

    @property
    def given(self) -> dict[str, float]:
        """Those that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class DecoderOptions:
    """Which search, with which models and which words to expect; scores are natural logarithms."""

    beam: int | None = None  # prefixes kept by the search; None: what suits it; 1 is greedy decoding of the letters
    lm: bool = True  # fuse a language model
    lexicon: bool = True  # search words by their phonemes, and let the letters judge the best of them
    n_best: int = 1  # texts for every segment
    candidates: int = 16  # of the search, that are rescored and that confidences are computed from
    language: str | None = None  # file with an n-gram model, of words or of characters; None: the packaged one
    weights: Weights = Weights()  # of the parts of a score; what is left out is on the model's card, or a default
    hotwords: tuple[Hotword, ...] = ()  # words and phrases to expect
    commands: tuple[str, ...] | None = None  # nothing but these is said; None: anything is
    rejection: float = 2.5  # ln a letter, that a command may be below the best free path; see asr.search.hotwords
    pronunciations: tuple[Pronunciation, ...] = ()  # of one's own, which count instead of the packaged lexicon's

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.beam is not None and self.beam < 1:
            raise ValueError(f"a search keeps one prefix at least, not {self.beam}: give a beam of 1 or more")
        if self.hotwords and (self.beam == 1 or self.commands is not None):
            raise UsageError("hotwords need a search: give a beam above 1, and no commands")


NAMES = tuple(field.name for field in fields(Weights))
_words, _letters = LexiconOptions(), SearchOptions()
DEFAULTS = {  # of each search, by asr.search.base.Search.name
    "lexicon": Weights(_words.lm_weight, _words.word_bonus, _words.prior_weight, letters=0.45, rnn=0.6, attention=0.1),
    "letters": Weights(_letters.lm_weight, _letters.word_bonus, _letters.prior_weight, attention=0.2),
    "characters": Weights(0.5, 0.0, _letters.prior_weight, attention=0.2),
    "letters alone": Weights(prior=_letters.prior_weight, attention=0.5),
    "greedy": Weights(),
    "commands": Weights(),
}


def weights_for(search: str, wanted: Weights, card: dict) -> Weights:
    """All that a search needs. Raises CheckpointError, or UsageError where something is wanted that it lacks."""
    default = DEFAULTS[search]
    if strange := sorted(wanted.given.keys() - default.given.keys()):
        known = ", ".join(default.given) or "none"
        raise UsageError(f"the search ({search}) has no weight called {strange[0]}, only: {known}")
    try:
        tuned = Weights(**{name: float(value) for name, value in card.get("weights", {}).get(search, {}).items()})
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError(
            "the model's search weights were tuned by another version of this program: "
            "tune them again with python -m recipes.english.tune"
        ) from None
    return wanted.over(tuned).over(default)


def read_weights(text: str) -> Weights:
    """ "lm=1.2,rnn=0" -> Weights. Raises UsageError."""
    found = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        if name not in NAMES:
            raise UsageError(f"no weight is called {name!r}: give {', '.join(NAMES)}, for example lm=1.2,rnn=0")
        found[name] = _number(name, value)
    return Weights(**found)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    least = {"word": -100.0, "lm": 0.01}.get(name, 0.0)
    if not least <= value <= 100:
        raise UsageError(f"{text!r} is no weight for {name}: give a number from {least:g} to 100")
    return value
