"""Manifests of the real speech beside the packaged negatives: to train on, and to count false alarms on.

python -m recipes.wake_words.rest DATA FOLDER

test.jsonl   half of the speakers who are not among the packaged negatives: neither the packaged detectors nor their
             second look learn from them
more.jsonl   everybody else, but not the held-out speakers of the packaged negatives: what those learn from
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

from wakeword.train.negatives import DATA


def manifests(speech: Path) -> dict[str, list[dict]]:
    """Name of a manifest -> its rows, from the folder ``speech`` of the data; dev is never trained on."""
    packaged = {row["speaker"]: row["split"] for row in map(json.loads, (DATA / "negatives.jsonl").open("rb"))}
    found: dict[str, list[dict]] = {"test": [], "more": []}
    for name in ("train", "dev"):
        for row in map(json.loads, (speech / f"{name}.jsonl").open("rb")):
            speaker, row = row["speaker"], row | {"audio_filepath": str(speech / row["audio_filepath"])}
            unheard = speaker not in packaged
            tested = unheard and (name == "dev" or zlib.crc32(speaker.encode()) % 2 == 0)
            if tested:
                found["test"].append(row)
            elif packaged.get(speaker) != "held-out" and name == "train":
                found["more"].append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, rows in manifests((options.data / "speech").resolve()).items():
        file = options.folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        hours, speakers = sum(row["duration"] for row in rows) / 3600, len({row["speaker"] for row in rows})
        print(f"{file}: {hours:.2f} hours, {speakers} speakers")


if __name__ == "__main__":
    main()
