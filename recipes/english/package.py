"""Turn a run's model.safetensors into the packaged model: fp16, with a card.

    python -m recipes.english.package RUN/model.safetensors asr/models/english.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from asr.checkpoint import load_model, save_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path)
    parser.add_argument("packaged", type=Path)
    options = parser.parse_args()
    model, card = load_model(options.trained)
    card |= {
        "name": options.packaged.stem,
        "data": "see english.md: Common Voice, speechocean762, LibriSpeech, Kathleen, LJSpeech, AN4, synthetic voices",
        "licence": "Apache-2.0; the data under CC0, CC BY 4.0, BSD and public domain",
        "command": "recipes/english/run.sh DATA WORK",
    }
    save_model(model, options.packaged, card, half=True)
    print(f"{options.packaged}: {options.packaged.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
