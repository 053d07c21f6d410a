"""Which word is in each file?    python -m recipes.speech_commands.classify OUT/keywords.safetensors yes.wav clips/

A line for each file: its name, the word, the probability. From Python: recipes.speech_commands.model.load.
"""

from __future__ import annotations

import argparse
import sys

from asr import audio
from asr.audio.files import AudioError
from asr.model.checkpoint import CheckpointError
from recipes.speech_commands.model import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="KEYWORDS", help="what `recipes.speech_commands.train` wrote")
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio files and folders")
    options = parser.parse_args()
    try:
        classifier = load(options.model)
    except CheckpointError as error:
        sys.exit(f"classify: {error}")
    faults = [fault for source in audio.find(options.files) if (fault := _tell(classifier, source))]
    sys.exit("\n".join(faults) or 0)


def _tell(classifier, source) -> str:
    """Print a file's word -> what is wrong with the file, or ""."""
    try:
        if isinstance(source, AudioError):
            raise source
        word, probability = classifier(audio.load(source))[0]
    except AudioError as error:
        return f"classify: {error}"
    print(f"{source}\t{word}\t{probability:.2f}")
    return ""


if __name__ == "__main__":
    main()
