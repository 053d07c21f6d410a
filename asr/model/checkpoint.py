"""Checkpoints: the weights and everything needed to rebuild the model, in one safetensors file.

Never a pickle. The metadata holds the format's version, the model's options and a card:
training data, licence, command, measured results. An attention decoder that was trained on a
frozen encoder lies in a file of its own, which knows whose encoder it belongs to.

Weights are stored as they are, as fp16, or with large matrices as int8: W[i, j] = scale[i] Q[i, j], where the scales of
the matrix W are called W.row_scales. Who reads a file gets the products.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from asr.audio.features import FRAMES_PER_SECOND, LogMelOptions
from asr.errors import Error
from asr.files import atomic_write_bytes
from asr.text import LETTERS

KINDS = "gru", "lstm", "peephole"
UNITS = "letters", "subwords", "phonemes"
STRIDES = 2, 3, 4
RECEPTIVE_FIELD = 7  # log-mel frames that one encoder frame sees
FORMAT, VERSION = "asr-ctc", 1
INT8_VERSION = 2  # of files whose matrices are int8
ROW_SCALES = ".row_scales"
LEAST_INT8 = 2**16  # elements of a matrix that is stored so: smaller ones, such as the heads, gain little
MODELS = Path(__file__).parent.parent / "models"
DEFAULT = "english"


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
    stride: int = 4  # log-mel frames of 10 ms from one encoder frame to the next

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"there is no recurrent layer called {self.kind!r}: choose from {', '.join(KINDS)}")
        if self.stride not in STRIDES:
            known = ", ".join(map(str, STRIDES))
            raise ValueError(f"an encoder frame cannot take {self.stride} log-mel frames: choose from {known}")
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
        left_out += ["stride"] if self.stride == 4 else []
        return {k: v for k, v in asdict(self).items() if k not in left_out}

    @property
    def frame_seconds(self) -> float:
        """Of an encoder frame."""
        return self.stride / FRAMES_PER_SECOND

    @property
    def subsampling(self) -> tuple[tuple[int, int], int]:
        """The strides in time of the two convolutions, and the dilation of the second: for any stride an encoder frame
        sees the same RECEPTIVE_FIELD, so the weights of one serve another, too."""
        first = 2 - self.stride % 2
        return (first, self.stride // first), 2 // first

    @property
    def read(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The layers that the heads for letters and phonemes read: the units' own the last, the other a middle one,
        with deep_phonemes both."""
        top, middle = self.layers - 1, self.layers // 2
        if self.units == "phonemes":
            return (middle,), (top,)
        return (top,), (middle, top) if self.deep_phonemes else (middle,)


class CheckpointError(Error):
    """One sentence: what is wrong with a checkpoint and what to do."""


def write_weights(weights: Mapping[str, Any], path: Path, half: bool, head: dict) -> None:
    """Weights (of torch or numpy) and metadata to a file, whole or not at all; what is no text in ``head`` as JSON.

    half: store fp16.
    """
    arrays = {name: _array(weight) for name, weight in weights.items()}
    if half:
        arrays = {k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in head.items()}
    atomic_write_bytes(Path(path), save(arrays, texts | {"version": str(VERSION)}))


def _array(weight: Any) -> np.ndarray:
    return np.ascontiguousarray(weight.detach().cpu().numpy() if hasattr(weight, "detach") else weight)


def store_int8(path: Path) -> None:
    """Rewrite a checkpoint with its large matrices as int8; what else is in it stays as it is."""
    head, weights = _stored(path)
    for name, weight in list(weights.items()):
        if weight.dtype.kind == "f" and weight.ndim == 2 and weight.size >= LEAST_INT8:
            weights[name], weights[name + ROW_SCALES] = _in_int8(weight.astype(np.float32))
    atomic_write_bytes(path, save(weights, head | {"version": str(INT8_VERSION)}))


def _in_int8(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) -> whole numbers from -127 to 127 of the same shape, the scale (rows,) of each row."""
    scales = np.abs(matrix).max(1) / 127
    return np.round(matrix / np.where(scales, scales, 1)[:, None]).astype(np.int8), scales


def _stored(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the tensors of a file, all as they are stored."""
    with safe_open(path, framework="np") as file:
        return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}


def update_card(path: Path, more: dict, **head_too: str) -> None:
    """Add to a checkpoint's card, or replace parts of it, and of the file's head; its weights stay as they are."""
    head, weights = _stored(path)
    card = json.loads(head["card"]) | more
    atomic_write_bytes(path, save(weights, head | head_too | {"card": json.dumps(card)}))


def locate(name: str | Path) -> Path:
    """A packaged model's name, or a path -> the checkpoint file."""
    packaged = MODELS / f"{name}.safetensors"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        names = sorted(p.stem for p in MODELS.glob("english*.safetensors"))
        known = ", ".join(n for n in names if not n.endswith(("-attention", "-numbers", "-rnn"))) or "none"
        what = f"{str(name)!r}" + " (a folder)" * path.is_dir()
        raise CheckpointError(f"no model called {what}: give a checkpoint file or a packaged model ({known})")
    return path


def load_weights(
    name: str | Path = DEFAULT, as_stored: bool = False
) -> tuple[ModelOptions, dict[str, np.ndarray], dict]:
    """An acoustic model by its name, or its file -> its options, weights and card. Raises CheckpointError."""
    path = locate(name)
    weights, head = read_weights(path, FORMAT, "acoustic model", as_stored)
    try:
        return ModelOptions.from_dict(json.loads(head["options"])), weights, json.loads(head["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def read_weights(
    path: Path, wanted: str, kind: str, as_stored: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Weights, and the metadata. Raises CheckpointError.

    kind: what a file of the format is called. as_stored: matrices in int8 beside their scales; ``multiplied`` makes
    them float32.
    """
    try:
        head, weights = _stored(path)
        _check(head, path, wanted, kind)
        return weights if as_stored else multiplied(weights), head
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise damaged(path, error) from None


def multiplied(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as stored -> weights, those in int8 as float32."""
    scales = {name.removesuffix(ROW_SCALES): scale for name, scale in weights.items() if name.endswith(ROW_SCALES)}
    matrices = {name: weights[name] * scale[:, None] for name, scale in scales.items()}
    return {name: matrices.get(name, weight) for name, weight in weights.items() if not name.endswith(ROW_SCALES)}


def damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({_brief(error)}): fetch or train it again")


def _check(head: dict, path: Path, wanted: str, kind: str) -> None:
    if head.get("format") != wanted:
        writer = head.get("format", "an unknown program")
        raise CheckpointError(f"{path} is no {kind} of this toolkit (written by {writer})")
    if head.get("version") not in (str(VERSION), str(INT8_VERSION)):
        wanted = f"version {head.get('version')}, this program reads versions up to {INT8_VERSION}"
        raise CheckpointError(f"{path} is of another {wanted}: install the matching release or train it again")


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:100]
