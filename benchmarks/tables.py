"""Tables as CSV and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wakeword.evaluate.report import write_csv

__all__ = ["Row", "cell", "markdown", "with_intervals", "write", "write_csv"]

Row = Mapping[str, object]


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; text to the left, numbers to the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = [all(isinstance(row.get(c, 0), (int, float)) for row in rows) for c in columns]
    lines = [columns, ["--:" if right else "---" for right in numeric]]
    lines += [[cell(row.get(column, "")) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(folder: Path, name: str, rows: Sequence[Row], text: str) -> None:
    """``name``.csv of the rows and ``name``.md of the text, which is printed, too."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / f"{name}.csv", rows)
    (folder / f"{name}.md").write_text(text)
    print(text)


def with_intervals(row: dict) -> dict:
    """The columns x, x low and x high become one: "12.3 (10.9 to 13.8)"."""
    row = dict(row)
    for key in [key.removesuffix(" low") for key in row if key.endswith(" low")]:
        row[key] = f"{row[key]:.1f} ({row.pop(f'{key} low'):.1f} to {row.pop(f'{key} high'):.1f})"
    return row


def cell(value: object) -> str:
    """Three significant digits for a float; no bars and no line breaks in text."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).replace("|", "/").split())
