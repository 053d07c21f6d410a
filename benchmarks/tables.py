"""Tables as CSV and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wakeword.report import write_csv

__all__ = ["Row", "cell", "markdown", "write_csv"]

Row = Mapping[str, object]


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; text to the left, numbers to the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = [all(isinstance(row.get(c, 0), (int, float)) for row in rows) for c in columns]
    lines = [columns, ["--:" if right else "---" for right in numeric]]
    lines += [[cell(row.get(column, "")) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: object) -> str:
    """Three significant digits for a float; no bars and no line breaks in text."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).replace("|", "/").split())
