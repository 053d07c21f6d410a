"""What a run was made of, kept beside its weights, so that it can be repeated: config.toml and record.json."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from asr import __version__
from asr.files import atomic_write_bytes
from asr.training.configuration import Configuration, as_toml
from asr.training.data import Utterance
from asr.training.fit import TrainingError

ROOT = Path(__file__).parent.parent.parent


def keep_record(
    folder: Path, configuration: Configuration, sets: dict[str, Sequence[Utterance]], start: str | None
) -> None:
    """Write what the run is made of; a run that goes on adds when and how. Raises TrainingError if it differs."""
    folder.mkdir(parents=True, exist_ok=True)
    made_of = {
        "seed": configuration[1].seed,
        "started_from": start,
        "data": {name: describe(utterances) for name, utterances in sets.items()},
    }
    path, config, text = folder / "record.json", folder / "config.toml", as_toml(configuration)
    goes_on = path.exists() and (folder / "state.safetensors").exists()
    record = json.loads(path.read_text()) if goes_on else {**made_of, "runs": []}
    if goes_on and ({k: record[k] for k in made_of} != made_of or config.read_text() != text):
        changed = [k for k in made_of if record[k] != made_of[k]] or ["configuration"]
        raise TrainingError(
            f"{folder} holds a run that began with another {changed[0].replace('_', ' ')}: name another folder, "
            "or give the same again to go on with it"
        )
    record["runs"].append(circumstances())
    atomic_write_bytes(config, text.encode())
    atomic_write_bytes(path, (json.dumps(record, indent=1) + "\n").encode())


def describe(utterances: Sequence[Utterance]) -> dict:
    """How much there is, and a fingerprint: the same for the same files with the same texts."""
    listing = "\n".join(f"{u.name}\t{u.text}" for u in utterances)
    return {
        "utterances": len(utterances),
        "hours": round(sum(u.duration for u in utterances) / 3600, 4),
        "fingerprint": hashlib.sha256(listing.encode()).hexdigest()[:16],
    }


def circumstances() -> dict:
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": sys.argv,
        "commit": commit(),
        "versions": {"asr": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def commit() -> str:
    """Of the source, "+" behind it where it was changed; "" where git doesn't know."""
    try:
        run = [
            subprocess.run(["git", "-C", str(ROOT), *c], capture_output=True, text=True, timeout=20, check=True).stdout
            for c in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return run[0].strip() + ("+" if run[1].strip() else "")
