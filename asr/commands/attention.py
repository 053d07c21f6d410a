"""The command `asr attention`: what the attention decoder reads in a recording, and a picture of where it looked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asr.audio import AudioError, Recording
from asr.commands.terminal import fail, say

if TYPE_CHECKING:
    from asr.attention.joint import JointModel
    from asr.recognizer import Recognizer

MAX_SPAN_S = 12.0  # s: longer speech is cut where it is least likely, as the decoder learnt on sentences
MAX_PICTURE_S = 20.0  # s of a recording that a picture has room for


@dataclass(frozen=True)
class Spelled:
    """A stretch of speech, read letter by letter."""

    start: float  # seconds
    end: float
    text: str
    frames: np.ndarray  # (n, n_mels) log-mel, of every 10 ms
    map: np.ndarray  # (letters + 1, T): where it looked for each letter and for the end


def add_attention(p: argparse.ArgumentParser) -> None:
    p.description = "Write what the attention decoder reads in a recording, and draw where it looked for each letter."
    p.add_argument("file", metavar="FILE", help="audio or video file, or - for standard input")
    p.add_argument("--plot", metavar="PNG", help="draw letters against time, with the spectrogram above")
    p.add_argument("--model", metavar="NAME", default="english", help="packaged model or checkpoint file")
    p.set_defaults(run=attention)


def attention(options: argparse.Namespace) -> int:
    """Exit status 0 when the recording was read whole, 1 otherwise, 2 when nothing could start."""
    if options.plot and (trouble := _cannot_draw(options.plot)):
        return fail(trouble)
    loaded = _load(options.model)
    recording, found = Recording(options.file), []
    try:
        for spelled in read(*loaded, recording):
            print(" ".join(spelled.text.split()), flush=True)
            if spelled.start < MAX_PICTURE_S:
                found.append(spelled)
    except AudioError as error:
        say(f"error: {error}")
        return 1
    if not found:
        say("no speech was found" + ", so there is no picture" * bool(options.plot))
    elif options.plot:
        try:
            draw(found, options.plot)
        except OSError as error:
            return fail(f"cannot write {options.plot} ({error.strerror})")
        if recording.seconds > MAX_PICTURE_S:
            say(f"the picture shows what begins in the first {MAX_PICTURE_S:.0f} s")
    if recording.warning:
        say(f"error: {recording.warning}")
    return 1 if recording.warning else 0


def _cannot_draw(path: str) -> str:
    """Why there can be no picture; "" if there can."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return "pictures need matplotlib: pip install 'asr[plots]'"
    if not path.lower().endswith(".png"):
        return f"the picture will be a PNG: call it {os.path.splitext(path)[0]}.png"
    if not os.path.isdir(os.path.dirname(path) or "."):
        return f"there is no folder {os.path.dirname(path)} for the picture"
    return ""


def _load(name: str) -> tuple[Recognizer, JointModel]:
    """A recogniser and the same model with its attention decoder. Raises asr.errors.Error."""
    from asr.attention.joint import attach_attention, load_joint
    from asr.audio.vad import SegmenterOptions
    from asr.recognizer import RecognizerOptions, load
    from asr.search.decoder import DecoderOptions

    wanted = RecognizerOptions(DecoderOptions(beam=1), segments=SegmenterOptions(max_length=MAX_SPAN_S))
    recognizer = load(name, wanted)
    network, _ = load_joint(name)
    attach_attention(network, name)
    return recognizer, network


def read(recognizer: Recognizer, model: JointModel, recording: Recording) -> Iterator[Spelled]:
    """The stretches of speech in which CTC hears a letter, too. Raises asr.audio.files.AudioError."""
    import torch

    from asr.attention.decoder import spell

    assert model.attention  # see _load
    for piece, (letters, _) in recognizer.posteriors(recording.blocks()):
        if not letters.argmax(1).any():
            continue
        with torch.inference_mode():
            hidden, _ = model.encode(torch.from_numpy(piece.frames)[None], torch.tensor([len(piece.frames)]))
        best = spell(model.attention, hidden[-1][0, piece.steps])
        if best and (text := model.alphabet.decode(best[0].symbols)).strip():
            yield Spelled(piece.start, piece.start + piece.seconds, text, piece.own, best[0].map)


def draw(found: list[Spelled], path: str) -> None:
    """Spectrogram above, letters against time below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = [c for s in found for c in [*s.text.replace(" ", "\N{OPEN BOX}"), "end"]]
    seconds, height = found[-1].end - found[0].start, 0.13 * len(labels)
    figure, (above, below) = pyplot.subplots(
        2,
        1,
        figsize=(min(30.0, 3 + 1.6 * seconds), 2.5 + height),
        sharex=True,
        height_ratios=(1.6, height),
        layout="constrained",
    )
    top = 0
    for s in found:
        above.imshow(s.frames.T, origin="lower", aspect="auto", extent=(s.start, s.end, 0, s.frames.shape[1]))
        below.imshow(s.map, aspect="auto", extent=(s.start, s.end, top + len(s.map), top), vmin=0, cmap="Greys")
        top += len(s.map)
    above.set(ylabel="mel band", xlim=(found[0].start, found[-1].end), title=" / ".join(s.text for s in found))
    below.set(ylabel="letters", xlabel="s", ylim=(top, 0))
    below.set_yticks(np.arange(top) + 0.5, labels, fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
