"""What rebuilds an acoustic model: the part of a checkpoint that is not weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from asr.audio.features import LogMelOptions
from asr.text import LETTERS

KINDS = "gru", "lstm", "peephole"
UNITS = "letters", "subwords", "phonemes"


@dataclass(frozen=True)
class AttentionOptions:
    """Sizes of an attention decoder, and how it is trained."""

    hidden: int = 320  # units of the GRU
    memory: int = 256  # size of the encoder's frames as the decoder sees them, and of the context vector
    energy: int = 128  # units of the network that weighs the frames
    embedding: int = 64  # size of the letter before
    reach: int = 7  # frames to either side whose weights so far count for a frame's next weight
    dropout: float = 0.2
    corruption: float = 0.05  # share of the letters before that are drawn at random in training: mistakes will happen
    smoothing: float = 0.05  # of the target letters in training
    guide: float = 1.0  # weight of the loss that teaches where to look


@dataclass(frozen=True)
class ModelOptions:
    """What rebuilds the model: its front-end, what it writes, and the sizes of its layers. Raises ValueError."""

    frontend: LogMelOptions = LogMelOptions()
    symbols: tuple[str, ...] = tuple(LETTERS)
    phonemes: tuple[str, ...] = ()  # of a second head on a middle layer
    kind: str = "gru"  # or lstm, peephole
    layers: int = 4
    hidden: int = 320  # of each direction
    channels: int = 32  # of the subsampling
    dropout: float = 0.1
    attention: AttentionOptions | None = None  # of a decoder beside the CTC heads
    units: str = "letters"  # of the top layer: letters, subwords, or phonemes, with letters on the middle one
    pieces: int = 200  # subwords that are learnt from the training texts, at most
    scores: tuple[float, ...] = ()  # ln probability of each symbol, where the symbols are subwords
    deep_phonemes: bool = False  # the head of the phonemes reads the last layer beside its middle one

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"there is no recurrent layer called {self.kind!r}: choose from {', '.join(KINDS)}")
        if self.units not in UNITS:
            raise ValueError(f"there are no units {self.units!r}: choose from {', '.join(UNITS)}")
        if self.deep_phonemes and self.units == "phonemes":
            raise ValueError("deep_phonemes is for a second head: phonemes as units read the last layer already")

    @classmethod
    def from_dict(cls, values: dict) -> ModelOptions:
        """What ``asdict`` gave. Raises KeyError, TypeError for anything else."""
        parts: dict = {k: tuple(values[k]) for k in ("symbols", "phonemes", "scores") if k in values}
        parts["frontend"] = LogMelOptions(**values["frontend"])
        if "attention" in values:
            parts["attention"] = AttentionOptions(**values["attention"])
        return cls(**{**values, **parts})

    def asdict(self) -> dict:
        """Without what older versions do not know, where it is not used."""
        left_out = [] if self.attention else ["attention"]
        left_out += ["units", "pieces", "scores"] if self.units == "letters" else []
        left_out += [] if self.deep_phonemes else ["deep_phonemes"]
        return {k: v for k, v in asdict(self).items() if k not in left_out}

    @property
    def read(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The layers that the heads for letters and phonemes read: the units' own the last, the other a middle one,
        with deep_phonemes both."""
        top, middle = self.layers - 1, self.layers // 2
        if self.units == "phonemes":
            return (middle,), (top,)
        return (top,), (middle, top) if self.deep_phonemes else (middle,)
