"""The command `asr export`: an acoustic model as two ONNX graphs, which asr.model.onnx runs without torch.

A recurrent network over windows with an explicit state serves files (one window over everything) and streams
(windows that overlap) alike. What is written is compared with torch on real audio before it is kept.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from asr import audio
from asr.commands.terminal import fail, say
from asr.model.onnx import HEAD, ExportError

if TYPE_CHECKING:
    from asr.recognizer import Recognizer

TOLERANCE = 1e-3  # of a log-probability
LATENCIES = (None, 320.0)  # ms; that the graphs are compared at


class Comparison(NamedTuple):
    """Of the exported model with torch."""

    seconds: float  # of audio
    difference: float  # of log-probabilities, the largest
    texts: int  # pieces of speech decoded
    other: tuple[str, ...]  # what torch has for those whose text is another


def add_export(p: argparse.ArgumentParser) -> None:
    p.description = "Write an acoustic model as ONNX, for machines without torch. Needs the extra `export`."
    p.add_argument("model", nargs="?", default="english", help="packaged model or checkpoint file (default: english)")
    p.add_argument("--output", type=Path, metavar="DIR", help="folder to write (default: english-onnx)")
    p.add_argument(
        "--check", nargs="+", required=True, metavar="FILE", help="speech; both engines must hear the same in it"
    )
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from asr.model.checkpoint import CheckpointError

    output = options.output or Path(f"{Path(options.model).stem}-onnx")
    try:
        found = export(options.model, output, options.check)
    except (CheckpointError, ExportError, audio.AudioError, OSError) as error:
        return fail(str(error))
    size = sum(file.stat().st_size for file in output.iterdir()) / 1e6
    audited = f"on {found.seconds:.0f} s of speech within {found.difference:.1g} of torch's log-probabilities"
    say(f"{output}: {size:.1f} MB; {audited}, and the same texts")
    return 0


def export(name: str | Path, folder: Path, clips: Sequence[str]) -> Comparison:
    """Write the model ``name`` to ``folder``, which appears whole or not at all; an older export is replaced.

    clips: files and folders of speech. Raises ExportError, CheckpointError, AudioError.
    """
    from asr.model.checkpoint import load_model

    try:
        from asr.model.onnx_export import write
    except ModuleNotFoundError as error:
        raise ExportError(f"export needs {error.name}, which is not installed: export where it is") from None
    if folder.exists() and not (folder / HEAD).is_file():
        raise ExportError(f"{folder} exists and holds no exported model: give another --output")
    model, card = load_model(name)
    with tempfile.TemporaryDirectory(dir=_parent(folder), prefix=f".{folder.name}.") as work:
        new = Path(work) / "new"
        new.mkdir()
        write(model, card, new)
        found = compare(name, new, clips)
        if found.other or not found.difference <= TOLERANCE:  # nor if it is no number
            raise ExportError(
                f"the exported model differs from torch by {found.difference:.2g} in log-probability and in "
                f"{len(found.other)} of {found.texts} texts: nothing was kept; try another release of onnxruntime"
            )
        if folder.exists():
            os.replace(folder, Path(work) / "old")
        os.replace(new, folder)
    return found


def _parent(folder: Path) -> Path:
    if not folder.absolute().parent.is_dir():
        raise ExportError(f"there is no folder {folder.absolute().parent}: make it first")
    return folder.absolute().parent


def compare(name: str | Path, folder: Path, clips: Sequence[str]) -> Comparison:
    """The model ``name`` by torch and the folder's, over speech, whole and as a stream hears it."""
    from asr.recognizer import RecognizerOptions, load

    seconds, difference, texts, other = 0.0, 0.0, 0, []
    for latency in LATENCIES:
        by_torch, exported = (load(model, RecognizerOptions(latency=latency)) for model in (name, folder))
        for clip in audio.find(clips):
            if isinstance(clip, audio.AudioError):
                raise clip
            for length, apart, wanted, found in _pairs(by_torch, exported, clip):
                seconds, difference, texts = seconds + length, float(np.maximum(difference, apart)), texts + 1
                other += [wanted] if wanted != found else []
    if not texts:
        raise ExportError("no speech was found in the files to check with: give others to --check")
    return Comparison(seconds / len(LATENCIES), difference, texts, tuple(other))


def _pairs(by_torch: Recognizer, exported: Recognizer, clip: str) -> Iterator[tuple[float, float, str, str]]:
    """Of each piece of speech: its seconds, the largest difference of log-probabilities, both texts."""
    both = zip(by_torch.posteriors(audio.blocks(clip)), exported.posteriors(audio.blocks(clip)), strict=True)
    for (piece, wanted), (_, found) in both:
        apart = float(np.max([np.abs(a - b).max(initial=0) for a, b in zip(wanted, found) if a is not None]))
        yield piece.seconds, apart, by_torch.decoder(*wanted)[0].text, exported.decoder(*found)[0].text
