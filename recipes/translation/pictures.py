"""The lecture's two pictures: BLEU by the length of the sentence, and the map of attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from asr.attention.seq2seq import BEGIN, Output
from asr.errors import Error

Interval = tuple[float, float, float]  # the value, and both ends of its 95 % interval


def draw_map(output: Output, path: str | Path) -> None:
    """Symbols of the target downwards, those of the source from left to right. Raises Error."""
    if output.map is None:
        raise Error("a model without attention looks nowhere: there is no map to draw")
    pyplot = _pyplot()
    shown = [[symbol.replace(BEGIN, " ") or "end" for symbol in side] for side in (output.source, output.symbols)]
    figure, axes = pyplot.subplots(figsize=[1.5 + 0.42 * len(side) for side in shown], layout="constrained")
    axes.imshow(output.map, cmap="Greys", vmin=0, vmax=1)
    axes.set_xticks(np.arange(len(shown[0])), shown[0], rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(shown[1])), shown[1])
    axes.xaxis.tick_top()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_lengths(labels: Sequence[str], curves: Mapping[str, Sequence[Interval]], path: str | Path) -> None:
    """A curve with its interval for each model; labels: the lengths, in words, of each point. Raises Error."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name, points in curves.items():
        value, low, high = np.array(points).T
        [line] = axes.plot(value, marker="o", label=name)
        axes.fill_between(np.arange(len(value)), low, high, alpha=0.15, color=line.get_color())
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set(xlabel="words of the French sentence", ylabel="BLEU", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _pyplot():
    try:
        import matplotlib
    except ImportError:
        raise Error("pictures need matplotlib: pip install 'asr[plots]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
