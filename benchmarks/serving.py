"""How much `asr serve` bears: uploads some at a time, and live streams in real time; its memory and its delays.

    python -m benchmarks.serving tests/data/independence.opus --uploads 200 --at-once 20 --streams 1 10 40 --core 0

Starts a server of its own, on one core if that is asked for. The clip is repeated to a minute for the uploads, and with
pauses for as long as a stream lasts.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import soundfile
import websockets

from asr import audio
from benchmarks import measure

RATE = audio.SAMPLE_RATE
BLOCK = 1_280  # samples that a live client sends at a time: 80 ms
MINUTE = 60  # s of an upload
HEAD = """# What `asr serve` bears

    {command}

{machine}; the clients ran there, too. Delay: of uploads the whole
answer; of streams from the end of the last word to its final text, which waits for 0.6 s of silence.

"""
PAUSE = np.zeros(RATE, np.float32)  # between two repetitions of the clip in a stream


def row(
    load: str, done: int, wrong: int, wall: float, cpu: float, audio: float, peak: float, delays: Sequence[float]
) -> dict:
    """What a server did under one load.

    wrong: lost, refused, or with another text than the first. wall, cpu: s, cpu of the server alone; audio: s of sound.
    peak: MB that the server had in memory at most. delays: s, of answers, or of finals after the end of speech.
    """
    median, late = np.percentile(delays or [np.nan], [50, 95]).tolist()
    found = {"load": load, "done": done, "wrong or lost": wrong, "wall, s": wall, "CPU s per audio s": cpu / audio}
    return found | {"peak MB": peak, "delay median, s": median, "delay 95 %, s": late}


def main() -> int:
    options = parser().parse_args()
    machine, sound = measure.machine(), audio.load(str(options.clip))
    rows = []
    with serving(options) as (address, pid):
        if options.uploads:
            rows.append(asyncio.run(uploads(address, pid, sound, options)))
        for count in options.streams:
            rows.append(asyncio.run(streams(address, pid, sound, count, options.seconds)))
    text = HEAD.format(command=" ".join(["python -m benchmarks.serving", *sys.argv[1:]]), machine=machine)
    text += measure.markdown(rows)
    print(text)
    if options.out:
        options.out.write_text(text)
        measure.write_csv(options.out.with_suffix(".csv"), rows)
    return int(any(row["wrong or lost"] for row in rows))


@contextmanager
def serving(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """A server -> its address and its process. Where it does not start, exits with what it said."""
    command = [sys.executable, "-m", "asr.cli", "serve", "--port", "0", "--model", options.model]
    command += ["--max-streams", "1000"]

    def one_core() -> None:
        os.sched_setaffinity(0, {options.core})

    pinned, environment = one_core if options.core is not None else None, measure.one_thread()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=pinned) as process:
        assert process.stderr
        said, address = "", None
        try:
            while not address and (line := process.stderr.readline()):
                said, address = said + line, re.search(r"//(\S+);", line)
            if not address:
                sys.exit(said)
            yield address[1], process.pid
        finally:
            process.terminate()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    top.add_argument("clip", type=Path, help="a recording with speech")
    top.add_argument("--model", default="english", help="as for asr serve (default: english)")
    top.add_argument("--core", type=int, metavar="N", help="of the processor, that the server stays on")
    top.add_argument("--uploads", type=int, default=200, metavar="N", help="of a minute each (default: 200)")
    top.add_argument("--at-once", type=int, default=20, metavar="N", help="(default: 20)")
    top.add_argument("--streams", type=int, nargs="*", default=[1, 10, 40], metavar="N", help="live at a time")
    top.add_argument("--seconds", type=float, default=30.0, metavar="S", help="that streams last (default: 30)")
    top.add_argument("--out", type=Path, metavar="FILE", help="for the table (.md); as CSV, too")
    return top


async def uploads(address: str, pid: int, sound: np.ndarray, options: argparse.Namespace) -> dict:
    body = io.BytesIO()
    soundfile.write(body, np.resize(sound, MINUTE * RATE), RATE, format="FLAC")
    url, places = f"http://{address}/v1/audio/transcriptions", asyncio.Semaphore(options.at_once)

    async def one(client: httpx.AsyncClient) -> tuple[str, float]:
        async with places:
            began = time.monotonic()
            answer = await client.post(url, files={"file": body.getvalue()})
            return answer.json().get("text", "") if answer.status_code == 200 else "", time.monotonic() - began

    began, before = time.monotonic(), cpu(pid)
    async with httpx.AsyncClient(timeout=3_600) as client:
        found = await asyncio.gather(*(one(client) for _ in range(options.uploads)))
    texts, took = zip(*found)
    wrong = sum(not text or text != texts[0] for text in texts)
    spent = time.monotonic() - began, cpu(pid) - before
    name = f"{options.uploads} uploads of a minute, {options.at_once} at a time"
    return row(name, len(texts), wrong, *spent, MINUTE * len(texts), measure.peak(pid), took)


async def streams(address: str, pid: int, sound: np.ndarray, count: int, seconds: float) -> dict:
    began, before = time.monotonic(), cpu(pid)
    alone = (stream(address, sound, i / count, seconds) for i in range(count))
    heard = await asyncio.gather(*alone, return_exceptions=True)
    wrong = sum(isinstance(one, BaseException) or not one for one in heard)
    delays = [delay for one in heard if not isinstance(one, BaseException) for delay in one]
    spent = time.monotonic() - began, cpu(pid) - before
    return row(f"{count} live streams", count, wrong, *spent, count * seconds, measure.peak(pid), delays)


async def stream(address: str, sound: np.ndarray, wait: float, seconds: float) -> list[float]:
    """Speak the clip again and again, in real time -> how long after its last word each sentence was settled."""
    await asyncio.sleep(wait)
    cycle = np.concatenate([sound, PAUSE])
    delays: list[float] = []
    async with websockets.connect(f"ws://{address}/v1/listen", ping_interval=None) as socket:
        began = time.monotonic()

        async def read() -> None:
            async for message in socket:
                result = json.loads(message)
                if result["kind"] == "final" and result["endpoint"] == "silence" and result["words"]:
                    delays.append(time.monotonic() - began - result["words"][-1]["end"])

        reading = asyncio.create_task(read())
        for start in range(0, round(seconds * RATE), BLOCK):
            block = np.take(cycle, range(start, start + BLOCK), mode="wrap")
            await asyncio.sleep(max(0.0, began + (start + BLOCK) / RATE - time.monotonic()))
            await socket.send((np.clip(block, -1, 1) * 32_767).astype("<i2").tobytes())
        await socket.send(json.dumps({"type": "end"}))
        await reading
    return delays


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
