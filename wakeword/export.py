"""The command `wakeword export`: a detector as one ONNX graph, for other programs and for less work a step."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr import audio
from asr.commands.terminal import say
from asr.errors import Error
from asr.model.graphs import Graph, recurrent
from wakeword.detector import Detector, load, locate, weights

TOLERANCE = 1e-3  # of a score


class ExportError(Error, ValueError):
    """One sentence: why no file was written, and what to do."""


def write(path: Path, output: Path) -> None:
    """The graph of a detector's file: frames (B, T, n_mels), states (layers, B, H) -> scores (B, n), new states.

    The states of LSTM cells are (2 layers, B, H): each layer's output and cell.
    """
    tensors, head = weights(path)
    options = json.loads(head["options"])
    kind, hidden, parts = options["kind"], options["hidden"], 1 if options["kind"] == "gru" else 2
    g, size = Graph("detector"), parts * options["layers"]
    x = g("Sub", g.input("frames", "float32", "streams", "time", options["n_mels"]), g.constant(tensors["mean"]))
    x = g("Transpose", g("Div", x, g.constant(tensors["deviation"])), perm=[0, 2, 1])
    kernel, bias = (g.constant(tensors[f"convolution.{part}"]) for part in ("weight", "bias"))
    x = g("Relu", g("Conv", x, kernel, bias, strides=[options["stride"]]))
    x = g("Transpose", x, perm=[2, 0, 1])  # (n, B, C)
    states = g.node("Split", g.input("states", "float32", size, "streams", hidden), outputs=size, axis=0)
    new_states: list[str] = []
    for number in range(options["layers"]):
        layer = recurrent(g, tensors, f"layers.{number}", kind, hidden)
        x, *state = layer(x, "", *states[number * parts : (number + 1) * parts])
        x = g("Squeeze", x, g.constant([1]))
        new_states += state
    x = g("Add", g("MatMul", x, g.constant(tensors["output.weight"].T)), g.constant(tensors["output.bias"]))
    scores = g("Transpose", g("Squeeze", g("Sigmoid", x), g.constant([2])), perm=[1, 0])
    g.output("scores", scores, "float32", "streams", "steps")
    g.output("new_states", g("Concat", *new_states, axis=0), "float32", size, "streams", hidden)
    output.write_bytes(g.model(head))


def add_export(p: argparse.ArgumentParser) -> None:
    p.description = "Write a detector as ONNX, with its state as an input and an output."
    p.add_argument("model", metavar="NAME_OR_FILE", help="packaged detector or a file")
    p.add_argument("--output", type=Path, metavar="FILE", help="to write (default: NAME.onnx)")
    p.add_argument("--check", nargs="+", required=True, metavar="FILE", help="audio in which both must hear the same")
    p.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    output = options.output or Path(f"{Path(options.model).stem}.onnx")
    far, seconds = export(options.model, output, options.check)
    size = output.stat().st_size / 1e3
    say(f"{output}: {size:.0f} kB; on {seconds:.0f} s of audio within {far:.1g} of the detector's scores")
    return 0


def export(name: str | Path, output: Path, clips: Sequence[str]) -> tuple[float, float]:
    """-> the largest difference of a score, and the seconds of audio; the file appears whole or not at all.

    Raises ExportError, wakeword.detector.DetectorError, asr.audio.files.AudioError.
    """
    path = locate(name)
    if output.suffix != ".onnx" or not output.absolute().parent.is_dir():
        raise ExportError(f"{output} cannot be written: name a file that ends in .onnx, in a folder that exists")
    if path.suffix == ".onnx":
        raise ExportError(f"{path} is exported already: give the detector that `wakeword train` wrote")
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=f".{output.stem}.") as work:
        new = Path(work) / "new.onnx"
        write(path, new)
        detector, exported = load(path), load(new)
        detector.phonemes = exported.phonemes = None  # it is taken by the same code in both
        far, seconds = compare(detector, exported, clips)
        if not far <= TOLERANCE:  # nor if it is no number
            raise ExportError(f"the exported detector's scores differ by {far:.2g}: nothing was kept")
        new.replace(output)
    return far, seconds


def compare(detector: Detector, other: Detector, clips: Sequence[str]) -> tuple[float, float]:
    """-> the largest difference of the scores over audio, and its seconds. Raises DetectorError."""
    far, seconds = 0.0, 0.0
    for clip in audio.find(clips):
        if isinstance(clip, audio.AudioError):
            raise clip
        states = [detector.start(), other.start()]
        for block in audio.blocks(clip):
            (wanted, states[0]), (found, states[1]) = (d.scores(block, s) for d, s in zip((detector, other), states))
            far = float(np.maximum(far, np.abs(wanted - found).max(initial=0)))
            seconds += len(block) / audio.SAMPLE_RATE
    if not seconds:
        raise ExportError("there is no audio in the files to check with: give others to --check")
    return far, seconds
