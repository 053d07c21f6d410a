"""Translate French to English by a trained model.

python -m recipes.translation.translate WORK/additive/model.safetensors "Jane visite l'Afrique en septembre."
python -m recipes.translation.translate MODEL < lines.txt
python -m recipes.translation.translate MODEL "bonjour" --map map.png      # where it looked
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from asr.attention.search import SearchOptions
from asr.attention.seq2seq import Seq2Seq
from asr.errors import Error
from recipes.translation.data import tidy
from recipes.translation.pictures import draw_map


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", nargs="*", help="French; without them, the lines of standard input")
    parser.add_argument("--beam", type=int, default=4, help="translations that are followed at a time; 1 is greedy")
    parser.add_argument("--map", metavar="FILE.png", help="draw where the decoder looked, for the last text")
    options = parser.parse_args()
    if options.beam < 1:
        parser.error("the beam is 1 or more")
    try:
        model, search = Seq2Seq.load(options.model), SearchOptions(options.beam)
        texts: Iterable[str] = options.texts or sys.stdin
        best = None
        for text in map(tidy, texts):
            best = model(text, search)[0] if text else best
            print(best.text if text and best else "", flush=True)
        if options.map and best:
            draw_map(best, options.map)
    except (Error, OSError) as error:
        sys.exit(f"translate: {error}")


if __name__ == "__main__":
    main()
