"""The figures of wake-word engines as CSV, as a page of Markdown and as DET plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import tables
from benchmarks.wake_engines import ENGINES
from wakeword.evaluate.clips import CLEAN
from wakeword.evaluate.report import COUNTED, DELAY, PlotError, Report, Row, det
from wakeword.evaluate.scoring import AS_SET
from wakeword.phrase.phrases import slug

DELAY_AT = 0.5  # false alarms an hour: the delay is that of the threshold for so many
NOTES = (
    "In brackets 95 % intervals: a bootstrap over clips, or over minutes of audio for false alarms.\n\n"
    "Misses in %, at the lowest threshold that gives no more than so many false alarms an hour on this very audio:"
)


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    name: str
    engine: str  # of benchmarks.wake_engines
    model: str | None  # None: it has none of this phrase


@dataclass(frozen=True)
class Outcome:
    """What one engine did; without a report, ``failure`` says why."""

    entry: Entry
    failure: str = ""
    report: Report | None = None
    facts: Row = field(default_factory=dict)  # model, versions, cost

    @property
    def misses(self) -> Row:
        """At each swept threshold; x, x low and x high are an estimate and its interval."""
        found: Row = {}
        for r in self.report.misses if self.report else ():
            if r["set"] != AS_SET:
                found |= estimate(f"{r['wanted per hour']:g}/h {r['condition']}", r, "miss %")
        return found

    @property
    def own(self) -> Row:
        """At the engine's own threshold; and the delay."""
        found, delay = {}, {}
        for r in self.report.alarms if self.report else ():
            if r["set"] == AS_SET and r["negatives"] == COUNTED:
                found |= estimate("alarms an hour", r, "per hour")
        for r in self.report.misses if self.report else ():
            if r["set"] == AS_SET:
                found |= estimate(f"miss % {r['condition']}", r, "miss %")
            elif r["wanted per hour"] == DELAY_AT and r["condition"] == CLEAN and DELAY in r:
                delay = {DELAY: r[DELAY]}
        return found | delay


def estimate(name: str, row: Row, key: str) -> Row:
    if key not in row:
        return {name: "not reached"}
    return {name: row[key], f"{name} low": row[f"{key}, low"], f"{name} high": row[f"{key}, high"]}


def write(outcomes: Sequence[Outcome], about: str, left_out: Sequence[str], stem: Path) -> str:
    """stem.csv, stem.md and a picture for each condition -> the page."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    shown = [o for o in outcomes if o.entry.model is not None]
    names = [{"engine": o.entry.name} for o in shown]
    rows = [name | {"failure": o.failure} | o.misses | o.own | o.facts for name, o in zip(names, shown)]
    tables.write_csv(stem.with_suffix(".csv"), rows)
    parts = [about, NOTES, tables.markdown([name | tables.with_intervals(o.misses) for name, o in zip(names, shown)])]
    parts.append(f"At the engine's own threshold; the delay is that at {DELAY_AT:g}/h, after the end of the phrase:")
    parts.append(tables.markdown([name | tables.with_intervals(o.own) | brief(o) for name, o in zip(names, shown)]))
    parts.append("".join(map(settings, outcomes)))
    parts += [f"Left out: {line}" for line in left_out]
    parts += [f"![misses against false alarms]({path.name})" for path in drawn(shown, stem)]
    page = "\n\n".join(part.rstrip("\n") for part in parts) + "\n"
    stem.with_suffix(".md").write_text(page, encoding="utf-8")
    return page


def brief(o: Outcome) -> Row:
    facts = {key: value for key, value in o.facts.items() if key != "versions"}
    return facts | ({"failure": o.failure} if o.failure else {})


def settings(o: Outcome) -> str:
    if o.entry.model is None:
        return f"- {o.entry.name}: has no model of this phrase\n"
    return f"- {o.entry.name}: {ENGINES[o.entry.engine].settings}. {o.facts.get('versions', '')}\n"


def drawn(outcomes: Sequence[Outcome], stem: Path) -> list[Path]:
    """A DET plot for each condition; none where there is no matplotlib."""
    reports = {o.entry.name: o.report for o in outcomes if o.report}
    paths = []
    for condition in next(iter(reports.values())).conditions if reports else ():
        paths.append(stem.with_name(f"{stem.name}-{slug(condition)}.png"))
        curves = {
            name: [(r["per hour"], r["miss %"]) for r in report.curve if r["condition"] == condition]
            for name, report in reports.items()
        }
        marks = [point for report in reports.values() for point in own_points(report, condition)]
        try:
            det(curves, {AS_SET: marks}, paths[-1], f"{stem.name}, {condition}")
        except PlotError:
            return []
    return paths


def own_points(report: Report, condition: str) -> list[tuple[float, float]]:
    """(false alarms an hour, misses in %) at the engine's own threshold."""
    rates = [r["per hour"] for r in report.alarms if r["set"] == AS_SET and r["negatives"] == COUNTED]
    misses = [r["miss %"] for r in report.misses if r["set"] == AS_SET and r["condition"] == condition]
    return list(zip(rates, misses))
