"""`make docs`: the docstrings of what programs may rely on, as pages in build/docs."""

from pathlib import Path

import pdoc

import asr
import wakeword

MODULES = ("audio.files", "audio.microphone", "live.stream", "transcript", "search.hotwords", "score")
PAGES = ("asr", *(f"asr.{module}" for module in MODULES), "wakeword")
FOLDER = Path("build/docs")


def write(folder: Path) -> None:
    """An HTML file for each of PAGES, and an index."""
    for package in (asr, wakeword):  # their names are imported when first asked for: ask
        vars(package).update({name: getattr(package, name) for name in package.__all__})
    pdoc.pdoc(*PAGES, output_directory=folder)


if __name__ == "__main__":
    write(FOLDER)
    print(f"{FOLDER}/index.html")
