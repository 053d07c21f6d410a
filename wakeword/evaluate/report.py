"""An evaluation's figures as rows, as CSV files and as a page of Markdown."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import Error
from wakeword.evaluate.clips import ROOM

Row = dict[str, Any]  # a column's name: a text or a number
COUNTED = "counted"  # all streams together that false alarms an hour are counted over
DELAY, DELAY_95 = "delay s, median", "delay s, 95 %"

NOTES = """\
False alarms an hour are those of the negatives that may hold speech ("counted"); noise and silence stand apart. Misses
are in per cent of the clips; in brackets the 95 % interval from a bootstrap over clips (the threshold stays), or over
minutes of audio for false alarms. Where nothing was counted the interval is the rule of three: fewer than 3 in n.
"Swept" thresholds are the lowest that keep the wanted rate on these very negatives, "beforehand" ones the detector's
own. SNR is the loudest frame of 512 samples of the clip against the loudest of the noise under it. A hit falls between
a clip's start and {late:g} s after its end; delays count from the end of the phrase by its energy, in seconds of
audio, in hits only.
"""
CONDITION_NOTES = """\
Conditions: a room of random reflections (reverberation of 0.64 s, 5 dB louder than the direct sound, as at some 3 m);
a telephone line (300 to 3,400 Hz, 8 kHz, 8 bits in mu-law); the loud half of the clip at -60 dB of full scale, in 16
bits; a talker of the negatives whose loudest frame is 5 dB below the clip's.
"""


@dataclass(frozen=True)
class Report:
    """What an evaluation has found."""

    phrase: str
    misses: list[Row]  # one for each operating point and condition
    alarms: list[Row]  # one for each operating point and source of negatives, and for their sums
    curve: list[Row]  # the DET curve of each condition
    left_out: list[str]  # what was given and not used, and why
    late: float  # s after a clip's end in which a detection is a hit

    @property
    def conditions(self) -> list[str]:
        return list(dict.fromkeys(row["condition"] for row in self.misses))

    @property
    def markdown(self) -> str:
        """One page."""
        clips = max(row["clips"] for row in self.misses)
        hours = next(row["hours"] for row in self.alarms if row["negatives"] == COUNTED)
        page = f"# {self.phrase or 'Wake word'}: {clips} clips, {hours:.2f} h without the phrase\n\n"
        page += NOTES.format(late=self.late) + (CONDITION_NOTES if ROOM in self.conditions else "")
        page += f"\n## Misses in %\n\n{_misses(self)}\n## False alarms (an hour)\n\n{_alarms(self)}"
        if self.left_out:
            page += "\n## Left out\n\n" + "".join(f"- {line}\n" for line in self.left_out)
        return page


def write(report: Report, folder: str | Path) -> None:
    """misses.csv, alarms.csv, det.csv, report.md, and det.png where matplotlib is installed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("misses", report.misses), ("alarms", report.alarms), ("det", report.curve)):
        write_csv(folder / f"{name}.csv", rows)
    page = report.markdown
    try:
        det(*det_points(report), folder / "det.png", title=report.phrase)
        page += "\n![misses against false alarms](det.png)\n"
    except PlotError as error:
        page += f"\nNo DET plot: {error}.\n"
    (folder / "report.md").write_text(page, "utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Full precision; the columns are those of all rows, in order of their first appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _misses(report: Report) -> str:
    """An operating point a line, a condition a column; the rate is that of what is counted, the delay that of clean."""
    counted = {_point(row): row for row in report.alarms if row["negatives"] == COUNTED}
    found = {(_point(row), row["condition"]): row for row in report.misses}
    lines = [["threshold", "wanted/h", "", "counted/h", *report.conditions, "delay clean, median s", "95 %"]]
    for point, alarms in counted.items():
        rows = [found[point, condition] for condition in report.conditions]
        delays = [f"{rows[0][key]:.2f}" if key in rows[0] else "" for key in (DELAY, DELAY_95)]
        lines.append([point[0], *_numbers(point), estimate(alarms, "per hour", 2)])
        lines[-1] += [estimate(row, "miss %", 1) for row in rows] + delays
    return table(lines)


def _alarms(report: Report) -> str:
    """A source of negatives a line, an operating point a column."""
    points = list(dict.fromkeys(map(_point, report.alarms)))
    found = {(row["negatives"], row["kind"], _point(row)): row for row in report.alarms}
    lines = [["negatives", "kind", "hours", *(" ".join([p[0], *_numbers(p)[:1]]) for p in points)]]
    for source, kind in dict.fromkeys(key[:2] for key in found):
        rows = [found[source, kind, point] for point in points]
        cells = [f"{row['alarms']}: {estimate(row, 'per hour', 2)}" if "alarms" in row else "" for row in rows]
        lines.append([source, kind, f"{rows[0]['hours']:.2f}", *cells])
    return table(lines)


def _point(row: Row) -> tuple:
    return row["set"], row["wanted per hour"], row["threshold"]


def _numbers(point: tuple) -> list[str]:
    _, rate, threshold = point
    return ["" if rate is None else f"{rate:g}", "not reached" if threshold is None else f"{threshold:.5f}"]


def estimate(row: Row, name: str, digits: int) -> str:
    """2.7 (1.5 to 4.0), or < 0.8 where nothing was counted."""
    if name not in row:
        return ""
    value, low, high = (f"{row[key]:.{digits}f}" for key in (name, f"{name}, low", f"{name}, high"))
    return f"{value} ({low} to {high})" if row[name] else f"0 (< {high})"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown; the first line is the head."""
    shown = [" | ".join(cell.replace("|", "/") for cell in line) for line in lines]
    return "".join(f"| {line} |\n" for line in [shown[0], " | ".join(["---"] * len(lines[0])), *shown[1:]])


def det_points(report: Report) -> tuple[dict, dict]:
    """(false alarms an hour, misses in %): the curve of each condition, the points by how their threshold was set."""
    rates = {_point(row): row.get("per hour") for row in report.alarms if row["negatives"] == COUNTED}
    curves: dict[str, list] = {condition: [] for condition in report.conditions}
    marks: dict[str, list] = {}
    for row in report.curve:
        curves[row["condition"]].append((row["per hour"], row["miss %"]))
    for row in report.misses:
        if "miss %" in row:
            marks.setdefault(row["set"], []).append((rates[_point(row)], row["miss %"]))
    return curves, marks


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
        raise PlotError("a plot needs matplotlib: pip install 'asr[plots]'") from None
    rates = [x for points in (*curves.values(), *marks.values()) for x, _ in points if x > 0]
    left = min(rates, default=0.1) / 2
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
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
        figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path)


def _columns(points: Sequence[tuple[float, float]], left: float) -> tuple[list[float], list[float]]:
    ordered = sorted((max(x, left), y) for x, y in points)
    return [x for x, _ in ordered], [y for _, y in ordered]
