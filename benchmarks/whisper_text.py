"""Whisper's own English normaliser over a JSON file of lists of texts: whisper_text.py IN OUT."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from whisper_normalizer.english import EnglishTextNormalizer

if __name__ == "__main__":
    normalise = EnglishTextNormalizer()
    lists = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps([[normalise(text) for text in texts] for texts in lists]))
