"""The command `asr export`: an acoustic model as two ONNX graphs with its alphabet, for other programs."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from asr.commands.terminal import say
from asr.errors import Error

SUBSAMPLING, LAYERS, HEAD = "subsampling.onnx", "layers.onnx", "model.json"  # the files of the folder


def add_export(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Write an acoustic model as the two ONNX graphs that this program runs itself, with a JSON file of what "
        "stands around them: front-end, symbols, card."
    )
    p.add_argument("model", nargs="?", default="english", help="packaged model or checkpoint file (default: english)")
    p.add_argument("--output", type=Path, metavar="DIR", help="folder to write (default: english-onnx)")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    output = options.output or Path(f"{Path(options.model).stem}-onnx")
    export(options.model, output)
    say(f"{output}: {sum(file.stat().st_size for file in output.iterdir()) / 1e6:.1f} MB")
    return 0


def export(name: str | Path, folder: Path) -> None:
    """Write the model ``name`` to ``folder``, which appears whole or not at all; an older export is replaced.

    Raises asr.errors.Error.
    """
    from asr.model import graphs
    from asr.model.checkpoint import load_weights

    if folder.exists() and not (folder / HEAD).is_file():
        raise Error(f"{folder} exists and holds no exported model: give another --output")
    if not folder.absolute().parent.is_dir():
        raise Error(f"there is no folder {folder.absolute().parent}: make it first")
    options, weights, card = load_weights(name)
    head = {"format": "asr-onnx", "version": 1, "options": options.asdict(), "mean": weights["mean"].tolist()}
    with tempfile.TemporaryDirectory(dir=folder.absolute().parent, prefix=f".{folder.name}.") as work:
        new = Path(work) / "new"
        new.mkdir()
        (new / SUBSAMPLING).write_bytes(graphs.subsampling(options, weights).model())
        (new / LAYERS).write_bytes(graphs.layers(options, weights).model())
        (new / HEAD).write_text(json.dumps(head | {"card": card}))
        if folder.exists():
            os.replace(folder, Path(work) / "old")
        os.replace(new, folder)
