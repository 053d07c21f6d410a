"""The DET plot (detection error trade-off): misses against false alarms an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.errors import Error

TICKS = (0, 1, 2, 5, 10, 20, 50, 100)  # per cent
MARKERS = "ox^s"


class PlotError(Error, RuntimeError):
    """One sentence: why there is no plot, and what to do."""


def det(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    marks: Mapping[str, Sequence[tuple[float, float]]],
    path: str | Path,
    title: str = "",
) -> None:
    """Draw a curve for each condition or model, and the operating points of each kind, to an image file.

    Points are (false alarms an hour, misses in %). No false alarm at all has no place on a logarithmic axis: it is
    drawn at the left edge. Misses below 1 % are on a linear scale. Raises PlotError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotError("a plot needs matplotlib: pip install matplotlib") from None
    rates = [x for points in (*curves.values(), *marks.values()) for x, _ in points if x > 0]
    left = min(rates, default=0.1) / 2
    figure = Figure(figsize=(7, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        axes.plot(*_columns(points, left), label=name, linewidth=1.5)
    for marker, (name, points) in zip(MARKERS, marks.items()):
        axes.plot(
            *_columns(points, left), marker, color="black", fillstyle="none", clip_on=False, label=f"threshold {name}"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yscale("symlog", linthresh=1, linscale=0.3)
    axes.set_yticks(TICKS, [str(tick) for tick in TICKS])
    axes.set(ylim=(0, 100), title=title, xlabel="false alarms an hour (left edge: none)", ylabel="misses in %")
    axes.set_xlim(left=left)
    axes.grid(which="major", alpha=0.4)
    if curves or marks:
        axes.legend(fontsize="small")
    figure.savefig(path)


def _columns(points: Sequence[tuple[float, float]], left: float) -> tuple[list[float], list[float]]:
    ordered = sorted((max(x, left), y) for x, y in points)
    return [x for x, _ in ordered], [y for _, y in ordered]
