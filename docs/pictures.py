"""Draw the README's pictures: python docs/pictures.py

terminal.svg shows what the programs really print: the commands run when it is drawn. pipeline.svg shows the two lines
from sound to text and to a wake word, and the folders where they stand.
"""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DATA = "tests/data/"
COMMANDS = (  # what runs; clips lie in DATA
    "asr transcribe independence.opus",
    "asr transcribe --format srt names.opus",
    "wakeword detect --model computer computer.opus",
)
WIDTH, LINE, SIZE = 860, 22, 15  # pixels
TYPED_S, SHOWN_S = 1.0, 0.3  # seconds between lines: after a command, after a line of its output


def terminal() -> str:
    """An SVG whose lines appear one after the other, for ever."""
    lines = []
    for shown in COMMANDS:
        program, *arguments = shown.split()
        arguments = [DATA + word if word.endswith(".opus") else word for word in arguments]
        call = [sys.executable, "-m", f"{program}.cli", *arguments]
        printed = subprocess.run(call, cwd=HERE.parent, capture_output=True, text=True, check=True).stdout
        printed = printed.replace(DATA, "")
        lines += [("$ " + shown, TYPED_S), *((line, SHOWN_S) for line in printed.rstrip().splitlines()), ("", 0.0)]
    height, total = LINE * (len(lines) + 1), sum(pause for _, pause in lines) + 4
    parts, now = [], 0.0
    for number, (text, pause) in enumerate(lines):
        colour = "#8fd18f" if text.startswith("$") else "#e6e6e6"
        at = now / total
        parts.append(
            f'<text x="16" y="{LINE * (number + 1) + 8}" fill="{colour}" xml:space="preserve">{html.escape(text)}'
            f'<animate attributeName="opacity" values="0;0;1;1" keyTimes="0;{at:.3f};{at + 0.001:.3f};1" '
            f'dur="{total:.1f}s" repeatCount="indefinite"/></text>'
        )
        now += pause
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 12}" width="{WIDTH}">'
        f'<style>text {{ font: {SIZE}px ui-monospace, "DejaVu Sans Mono", monospace }}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="#1e1e24"/>{"".join(parts)}</svg>\n'
    )


ROWS = (
    ("asr", ("sound|audio/", "log-mel|audio/features", "voice activity|audio/vad", "conv + BiGRU, CTC|model/",
             "lexicon search|search/, language/", "word times|align/", "transcript|transcript.py")),
    ("wakeword", ("sound|asr/audio/", "log-mel|asr/audio", "trigger-word RNN|network.py", "phoneme model|phonemes/",
                  "threshold|detector.py", "your program|listen.py")),
)  # fmt: skip
BOX, GAP, TALL = 112, 12, 54  # pixels


def pipeline() -> str:
    """An SVG with a line of boxes for each program."""
    parts = []
    for row, (title, boxes) in enumerate(ROWS):
        y = 34 + row * (TALL + 48)
        parts.append(f'<text x="0" y="{y - 10}" class="title">{title}</text>')
        for column, box in enumerate(boxes):
            x, (what, where) = column * (BOX + GAP), box.split("|")
            parts.append(f'<rect x="{x + 1}" y="{y}" width="{BOX - 2}" height="{TALL}" rx="6" class="box"/>')
            parts.append(f'<text x="{x + BOX / 2}" y="{y + 23}" class="what">{what}</text>')
            parts.append(f'<text x="{x + BOX / 2}" y="{y + 42}" class="where">{where}</text>')
            if column:
                parts.append(f'<path d="M{x - GAP + 1} {y + TALL / 2} h{GAP - 1}" class="arrow"/>')
    width, height = 7 * (BOX + GAP), 2 * (TALL + 48) + 10
    style = (
        "text { font-family: sans-serif; fill: #222 } .title { font: bold 14px sans-serif } .what { font-size: 11px; "
        "text-anchor: middle } .where { font-size: 10px; text-anchor: middle; fill: #666 } "
        ".box { fill: #eef3fb; stroke: #7a94c2 } .arrow { stroke: #555; stroke-width: 2 }"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    (HERE / "terminal.svg").write_text(terminal(), "utf-8")
    (HERE / "pipeline.svg").write_text(pipeline(), "utf-8")
