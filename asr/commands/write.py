"""The command `asr write`: words as said, from anywhere, to text as people write it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from asr.commands.terminal import add_writing
from asr.errors import Error
from asr.files import STDIN, whole_lines
from asr.transcript import Segment, Word, fields
from asr.written import WrittenOptions

if TYPE_CHECKING:
    from asr.written.writer import Writer

TIMES = ("start", "end", "confidence")  # of a word in a transcript


def add_write(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Write words as people do: marks, capitals, figures. A line is an utterance or a whole text; a transcript in "
        "json becomes one with its text written anew, the times of its words as they were."
    )
    p.add_argument("files", nargs="*", default=[STDIN], metavar="FILE", help="text or json (default: standard input)")
    add_writing(p, plain=False)
    p.add_argument("--show-attention", action="store_true", help="on standard error: where the model of numbers looked")
    p.set_defaults(run=write)


def write(options: argparse.Namespace) -> int:
    from asr.written.writer import Writer

    writer = Writer.load(WrittenOptions(options.numbers, options.dates))
    for name in options.files:
        for number, line in enumerate(whole_lines(name), start=1):
            content = _transcript(line, name, number)
            sys.stdout.write(writer.text(line) if content is None else json.dumps(_written(content, writer)) + "\n")
            sys.stdout.flush()
            if options.show_attention:
                for shown in writer.numbers.maps(content["spoken"].split() if content else line.split()):
                    print(shown, end="\n\n", file=sys.stderr)
    return 0


def _transcript(line: str, name: str, number: int) -> dict[str, Any] | None:
    """What `asr transcribe --format json` has written; None of any other line. Raises Error."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(line)
        if not isinstance(content, dict) or "segments" not in content:
            return None
        content["segments"] = [segment | {"words": [_word(word) for word in segment["words"]]}
                               for segment in content["segments"]]  # fmt: skip
        return content
    except (KeyError, TypeError) as error:
        raise Error(f"{name}, line {number}: a transcript needs segments, and these words with text, start, end, "
                    f"confidence ({error})") from None  # fmt: skip
    except (ValueError, RecursionError):
        return None


def _word(word: dict[str, Any]) -> Word:
    return Word(word["text"] + "", *(float(word[key]) for key in TIMES))


def _written(content: dict[str, Any], writer: Writer) -> dict[str, Any]:
    rows = content["segments"]
    spoken = [Segment(w[0].start, w[-1].end, tuple(w)) for row in rows if (w := row["words"])]
    found = iter(writer.segments(spoken))
    segments = [_row(row, next(found) if row["words"] else Segment(0, 0, ())) for row in rows]
    texts = {key: " ".join(s[key] for s in segments if s["words"]) for key in ("text", "spoken")}
    return content | texts | {"segments": segments}


def _row(row: dict[str, Any], segment: Segment) -> dict[str, Any]:
    words = {"words": [fields(word) for word in segment.words], "written": [fields(w) for w in segment.written]}
    return row | words | {"text": segment.text, "spoken": segment.spoken}
