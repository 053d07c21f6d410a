"""What the parts of a search's score count for: as the user says, or the model's card, or by default."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from asr.errors import Error
from asr.model.checkpoint import CheckpointError
from asr.search.base import SearchOptions
from asr.search.words import LexiconOptions


class WeightError(Error, ValueError):
    """Weights cannot be read or used; the text is one sentence for the user."""


@dataclass(frozen=True)
class Weights:
    """None: as the model's card says, where recipes.english.tune has left its findings, or else the default."""

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


NAMES = tuple(field.name for field in fields(Weights))
DEFAULTS = {  # of each search, named as by asr.search.decoder.Decoder.search
    "lexicon": Weights(
        LexiconOptions.lm_weight, LexiconOptions.word_bonus, LexiconOptions.prior_weight, 0.45, 0.6, 0.1
    ),
    "letters": Weights(SearchOptions.lm_weight, SearchOptions.word_bonus, 0.5, attention=0.2),
    "characters": Weights(0.5, 0.0, 0.5, attention=0.2),
    "letters alone": Weights(prior=0.5, attention=0.5),
    "greedy": Weights(),
    "commands": Weights(),
}


def weights_for(search: str, wanted: Weights, card: dict) -> Weights:
    """All that a search needs. Raises CheckpointError, or WeightError where something is wanted that it lacks."""
    default = DEFAULTS[search]
    if strange := sorted(wanted.given.keys() - default.given.keys()):
        known = ", ".join(default.given) or "none"
        raise WeightError(f"the search ({search}) has no weight called {strange[0]}, only: {known}")
    try:
        tuned = Weights(**{name: float(value) for name, value in card.get("weights", {}).get(search, {}).items()})
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError(
            "the model's search weights were tuned by another version of this program: "
            "tune them again with python -m recipes.english.tune"
        ) from None
    return wanted.over(tuned).over(default)


def read_weights(text: str) -> Weights:
    """ "lm=1.2,rnn=0" -> Weights. Raises WeightError."""
    found = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        if name not in NAMES:
            raise WeightError(f"no weight is called {name!r}: give {', '.join(NAMES)}, for example lm=1.2,rnn=0")
        found[name] = _number(name, value)
    return Weights(**found)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    least = {"word": -100.0, "lm": 0.01}.get(name, 0.0)
    if not least <= value <= 100:
        raise WeightError(f"{text!r} is no weight for {name}: give a number from {least:g} to 100")
    return value
