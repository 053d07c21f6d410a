"""What reads files or messages of others, for fuzz.py: real inputs, and the errors that users are promised."""

from __future__ import annotations

import asyncio
import io
import json
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import soundfile

from asr import audio
from asr.commands.score_input import ScoreError, read_texts
from asr.errors import Error, UsageError
from asr.files import read_lines
from asr.language import arpa, kneser_ney, ngram
from asr.model.checkpoint import CheckpointError
from asr.model.network.ctc import load_network, save_model
from asr.search.hotwords import read_commands, read_hotwords
from asr.search.lexicon import Lexicon
from asr.training import corpora
from asr.training.config import read_config, read_lexicon
from asr.training.data import ManifestError, read_manifest
from wakeword.detector import DetectorError
from wakeword.detector import load as load_detector

CLIP = Path(__file__).parent / "data/independence.opus"
LINES = ["the pear and the apple", "an apple a day", "the quick brown fox", "a pear tree"]
ROW = {"audio_filepath": "a.wav", "duration": 1.5, "text": "an apple", "speaker": "s1", "corpus": "c"}
CONFIG = """[model]\nlayers = 2\nhidden = 64\n[train]\nbatch_seconds = 24.0\nseed = 3\n[augment]\nspeed = 0.1
[[stages]]\nupdates = 100\n[stages.weights]\n"some corpus" = 2.5\n"""


@dataclass(frozen=True)
class Reader:
    """A reader, what it is given, and the exceptions (each of one sentence) that its docstring promises."""

    inputs: Callable[[], dict[str, bytes]]  # by suffix or file name
    read: Callable[[Path], Any]
    errors: tuple[type[Exception], ...]


def _recordings() -> dict[str, bytes]:
    samples = audio.load(str(CLIP))[:16_000]
    kinds = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3", "aiff": "AIFF", "w64": "W64", "au": "AU"}
    found = {".opus": CLIP.read_bytes()}
    for suffix, format in kinds.items():
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format=format)
        found[f".{suffix}"] = file.getvalue()
    return found


def _written(write: Callable[[Path], Any], suffix: str) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        write(path)
        return {suffix: path.read_bytes()}


def _acoustic(path: Path) -> None:
    from asr.model.checkpoint import ModelOptions
    from asr.model.network.ctc import CTCModel

    save_model(CTCModel(ModelOptions(layers=1, hidden=8, channels=4)), path, {"licence": "x"})


def _recurrent(path: Path) -> None:
    from asr.language.rnn_network import LanguageOptions, RnnLanguageModel, save

    words = ["<eos>", "<unk>", "a", "pear"]
    save(RnnLanguageModel(LanguageOptions(size=4, hidden=4, bands=(2,)), words), path, {})


def _detector(path: Path) -> None:
    from wakeword.detector import DetectorOptions
    from wakeword.train import TriggerModel, TriggerOptions
    from wakeword.train.training import save_detector

    model = TriggerModel(TriggerOptions(hidden=4, channels=4))
    save_detector(model.eval(), path, {"phrase": "x", "thresholds": {}}, DetectorOptions(0.5))


def _heard(path: Path) -> None:
    import torch

    model, _ = load_network(path)
    with torch.inference_mode():
        model.encode(torch.zeros(1, 20, model.options.frontend.n_mels), torch.tensor([20]))


def _scored(path: Path) -> None:
    from asr.language.rnn_network import load

    load(path).ln_probability(["a pear", ""])


def _model() -> ngram.NgramModel:
    return kneser_ney.train(LINES)


def _sound(path: Path) -> None:
    audio.duration(str(path))
    for _ in audio.blocks(str(path)):
        pass


def _start_message(path: Path) -> None:
    from asr.serve.live import FormatError
    from asr.serve.websocket import Start

    try:
        Start.of(path.read_text("utf-8", errors="replace"), {"hey": None})
    except FormatError as error:
        raise _Refused(str(error)) from None


def _wyoming(path: Path) -> None:
    from asr.serve.live import FormatError
    from asr.serve.wyoming import read_event

    async def all_events() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(path.read_bytes())
        reader.feed_eof()
        while await read_event(reader):
            pass

    try:
        asyncio.run(all_events())
    except (FormatError, asyncio.IncompleteReadError) as error:
        raise _Refused(str(error)) from None


class _Refused(Exception):
    """A server's own errors; its packages may be missing here."""


EVENTS = b"".join(
    json.dumps(event).encode() + b"\n" + more
    for event, more in (
        ({"type": "transcribe", "data": {"language": "en"}}, b""),
        ({"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}, b""),
        ({"type": "audio-chunk", "data_length": 15, "payload_length": 4}, b'{"rate": 16000}' + bytes(4)),
    )
)
START = {"type": "start", "encoding": "f32le", "rate": 48000, "channels": 2, "wake": ["hey"], "scores": True}

READERS: dict[str, Reader] = {
    "audio": Reader(_recordings, _sound, (audio.AudioError,)),
    "manifest": Reader(lambda: {".jsonl": 3 * (json.dumps(ROW) + "\n").encode()}, read_manifest, (ManifestError,)),
    "common voice": Reader(
        lambda: {".tsv": b"client_id\tpath\tsentence\ns1\ta.mp3\tAn apple.\ns2\tb.mp3\tA pear.\n"},
        corpora.read,
        (ManifestError,),
    ),
    "kaldi": Reader(lambda: {"": b"u1 an apple\nu2 a pear\n"}, lambda p: list(corpora.pairs(p)), (ManifestError,)),
    "score": Reader(lambda: {".jsonl": 3 * (json.dumps(ROW) + "\n").encode()}, read_texts, (ScoreError,)),
    "arpa": Reader(
        lambda: _written(lambda p: arpa.write(_model(), p), ".arpa"),
        lambda p: ngram.log_prob(arpa.read(p), LINES[0]),
        (UsageError,),
    ),
    "n-gram": Reader(
        lambda: _written(lambda p: ngram.save(_model(), p), ".npz"),
        lambda p: ngram.log_prob(ngram.load(p), LINES[0]),
        (UsageError,),
    ),
    "checkpoint": Reader(lambda: _written(_acoustic, ".safetensors"), _heard, (CheckpointError,)),
    "recurrent": Reader(lambda: _written(_recurrent, ".safetensors"), _scored, (CheckpointError,)),
    "detector": Reader(lambda: _written(_detector, ".safetensors"), load_detector, (DetectorError,)),
    "lexicon": Reader(
        lambda: {".txt": b"# words\npear\tP EH R\n", ".xz": lzma.compress(b"pear\tP EH R\napple\tAE P AH L\n")},
        Lexicon.read,
        (UsageError,),
    ),
    "cmudict": Reader(lambda: {".txt": b";;; x\npear  P EH1 R # x\npear(1)  P AE1 R\n"}, read_lexicon, (ValueError,)),
    "hotwords": Reader(lambda: {".txt": b"snow boy\t6\npear\n"}, read_hotwords, (UsageError,)),
    "commands": Reader(lambda: {".txt": b"lights on\nlights off\n"}, read_commands, (UsageError,)),
    "text": Reader(
        lambda: {".txt": b"an apple\n", ".xz": lzma.compress(b"an apple\n")},
        lambda p: read_lines(str(p)),
        (UsageError,),
    ),
    "configuration": Reader(lambda: {".toml": CONFIG.encode()}, lambda p: read_config(p, None), (Error,)),
    "websocket": Reader(lambda: {".json": json.dumps(START).encode()}, _start_message, (_Refused,)),
    "wyoming": Reader(lambda: {".bin": EVENTS}, _wyoming, (_Refused,)),
}
