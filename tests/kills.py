"""SIGKILL at random moments: nothing lost or half-written, and going on gives what an unbroken run gives.

python tests/kills.py --rounds 10 [--only training transcribing serving] [--seed 1]

Each round starts the command anew and kills it after a random share of the time that an unbroken run takes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from asr import audio

CLIPS = sorted((Path(__file__).parent / "data").glob("*.opus"))
CONFIG = """[model]\nlayers = 1\nhidden = 8\nchannels = 4\n[train]\nbatch_seconds = 12.0\nevaluate_every = 4
[[stages]]\nupdates = 16\n"""


class Broken(AssertionError):
    """What a kill has lost or left behind, in a sentence."""


def demand(holds: bool, sentence: str) -> None:
    if not holds:
        raise Broken(sentence)


def asr(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "asr.cli", *map(str, arguments)]


def run(command: Sequence[str], seconds: float | None = None) -> float:
    """Run to the end, or kill it after so many seconds -> how long it took. Raises Broken where it fails by itself."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, log = process.communicate(timeout=seconds)
        demand(process.returncode == 0, f"{' '.join(command[3:5])} failed: {log[-300:]}")
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return time.monotonic() - began


def until_done(command: Sequence[str], rounds: int, longest: float, rng: random.Random, check) -> None:
    """Kill the command so many times, look after each, then let it finish."""
    for _ in range(rounds):
        run(command, rng.uniform(0.2, 1.1) * longest)
        check()
    run(command)


def transcribing(folder: Path, rounds: int, rng: random.Random) -> None:
    """Each result whole or not there; with --resume in the end the same as unbroken."""
    (folder / "in").mkdir()
    for number in range(8):
        shutil.copy(CLIPS[number % len(CLIPS)], folder / f"in/{number}.opus")
    command = asr("transcribe", "--threads", 1, "--format", "json", "--resume", folder / "in", "--output")
    longest = run([*command, str(folder / "whole")])
    whole = _contents(folder / "whole", "*.json")

    def check() -> None:
        for name, text in _contents(folder / "out", "*.json").items():
            demand(text == whole[name], f"{name} is not what an unbroken run writes")

    until_done([*command, str(folder / "out")], rounds, longest, rng, check)
    demand(_contents(folder / "out", "*.json") == whole, "results are missing after the last run")


def training(folder: Path, rounds: int, rng: random.Random) -> None:
    """The weights of a run that was killed again and again are those of an unbroken one."""
    rows = [
        {"audio_filepath": str(clip), "duration": audio.duration(str(clip)), "text": "the pear", "speaker": clip.stem}
        for clip in CLIPS
        if clip.stem != "timed"
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.toml").write_text(CONFIG)
    given = asr("train", folder / "data.jsonl", "--dev", folder / "data.jsonl", "--config", folder / "config.toml")
    longest = run([*given, "--out", str(folder / "whole")])

    def check() -> None:
        for path in (folder / "out").glob("*.safetensors"):
            from safetensors import safe_open

            with safe_open(path, framework="numpy") as file:
                demand(bool(list(file.keys())), f"{path.name} is empty")

    until_done([*given, "--out", str(folder / "out")], rounds, longest, rng, check)
    same = _weights(folder / "whole/model.safetensors") == _weights(folder / "out/model.safetensors")
    demand(same, "the weights differ from those of an unbroken run")


def serving(folder: Path, rounds: int, rng: random.Random) -> None:
    """A client gets the whole answer or none, and the server that is started anew answers as before."""
    clip, whole = CLIPS[0].read_bytes(), ""
    for turn in range(rounds + 1):
        process = subprocess.Popen(asr("serve", "--port", 0), stderr=subprocess.PIPE, text=True)
        try:
            url = next(m[1] for line in process.stderr or () if (m := re.search(r"serving at (http\S+?);", line)))
            answers: list[str] = []
            asking = threading.Thread(target=_ask, args=(url, clip, 20 if turn else 1, answers))
            asking.start()
            if turn:
                time.sleep(rng.uniform(0.05, 2.0))
                process.kill()
            asking.join()
        finally:
            process.kill()
            process.communicate()
        whole = whole or answers[0]
        demand(set(answers) <= {whole}, f"a killed server gave another answer: {answers}")


def _ask(url: str, clip: bytes, times: int, answers: list[str]) -> None:
    """Upload the clip again and again until nobody answers."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.opus"\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for _ in range(times):
        request = urllib.request.Request(f"{url}/v1/audio/transcriptions", head + clip + b"\r\n--x--\r\n", form)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers.append(answer.read().decode())
        except (OSError, urllib.error.URLError, ValueError):
            return


def _contents(folder: Path, pattern: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob(pattern)}


def _weights(path: Path) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    return {name: tensor.tobytes() for name, tensor in load_file(path).items()}


KINDS = {"transcribing": transcribing, "training": training, "serving": serving}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5, metavar="N", help="kills of each (default: 5)")
    p.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    p.add_argument("--seed", type=int, default=int(time.time()))
    options = p.parse_args()
    status = 0
    for name in options.only:
        with TemporaryDirectory() as folder:
            try:
                KINDS[name](Path(folder), options.rounds, random.Random(options.seed))
                print(f"{name}: {options.rounds} kills, nothing lost (seed {options.seed})", flush=True)
            except Broken as error:
                print(f"{name}: {error} (seed {options.seed})", flush=True)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
