"""Manifests of the real speech beside the packaged negatives: to train on, and to count false alarms on.

python -m recipes.wake_words.rest DATA FOLDER [SPEECH]     # SPEECH: what the collector of more speech wrote

test.jsonl   half of the speakers who are not among the packaged negatives: neither the packaged detectors nor their
             model of phonemes learn from them
more.jsonl   everybody else, but not the held-out speakers of the packaged negatives: what those learn from
apart.jsonl  of SPEECH a quarter of the speakers of two sets, four readers of a third, and test.jsonl: neither the model
             of phonemes nor detectors learn from them; they choose the packaged detectors' thresholds
taught.jsonl the rest of SPEECH with a text that can be trusted, and more.jsonl: what the model of phonemes learns from
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


SETS = (
    "amazon-queen commonvoice6 commonvoice13 commonvoice13.without-text commonvoice1 librispeech-train-clean-5 minds14 "
    "robotutor cmu-arctic vctk-p239"
).split()
QUARTERED = "commonvoice13", "commonvoice13.without-text", "minds14"  # sets of which a quarter of the speakers is apart
READERS = frozenset("1088 460 332 163".split())  # apart, of librispeech-train-clean-5


def with_more(found: dict[str, list[dict]], speech: Path) -> dict[str, list[dict]]:
    """The same with the manifests "taught" and "apart", of the sets in the folder ``speech``, too."""
    packaged = {row["speaker"]: row["split"] for row in map(json.loads, (DATA / "negatives.jsonl").open("rb"))}
    taught, apart = list(found["more"]), list(found["test"])
    for name in SETS:
        for row in map(json.loads, (speech / f"{name}.jsonl").open("rb")):
            speaker = row.get("speaker") or "unknown"
            row |= {"audio_filepath": str(speech / row["audio_filepath"]), "speaker": speaker, "corpus": _corpus(row)}
            if name in QUARTERED and zlib.crc32(speaker.encode()) % 4 == 0 or speaker in READERS:
                apart.append(row)
            elif "held-out" in (packaged.get(speaker), packaged.get(f"librispeech-{speaker}")):
                continue
            elif row["text"].strip() and row["text_from"] != "none" and row["split"] != "doubtful":
                taught.append(row)
    return found | {"taught": taught, "apart": apart}


def _corpus(row: dict) -> str:
    """What weights are given to: texts by a recogniser, and single words, are corpora of their own."""
    if row["corpus"] == "robotutor" and len(row["text"].split()) < 2:
        return "robotutor-words"
    return (
        "commonvoice13-machine" if row["corpus"] == "commonvoice13" and row["text_from"] != "corpus" else row["corpus"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("speech", type=Path, nargs="?")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = manifests((options.data / "speech").resolve())
    if options.speech:
        found = with_more(found, options.speech.resolve())
    for name, rows in found.items():
        file = options.folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        hours, speakers = sum(row["duration"] for row in rows) / 3600, len({row["speaker"] for row in rows})
        print(f"{file}: {hours:.2f} hours, {speakers} speakers")


if __name__ == "__main__":
    main()
