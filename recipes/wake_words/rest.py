"""A manifest of the real speech whose speakers are not among the packaged negatives: what false alarms are counted on.

    python -m recipes.wake_words.rest DATA OUT.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from wakeword.negatives import DATA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    packaged = {json.loads(line)["speaker"] for line in (DATA / "negatives.jsonl").open(encoding="utf-8")}
    hours = 0.0
    with options.out.open("w", encoding="utf-8") as out:
        for name in ("train", "dev"):
            folder = (options.data / "speech").resolve()
            for row in map(json.loads, (folder / f"{name}.jsonl").open(encoding="utf-8")):
                if row["speaker"] not in packaged:
                    out.write(json.dumps(row | {"audio_filepath": str(folder / row["audio_filepath"])}) + "\n")
                    hours += row["duration"] / 3600
    print(f"{options.out}: {hours:.2f} hours")


if __name__ == "__main__":
    main()
