"""A running `asr serve` for tests: a process of its own on a free port."""

import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"
CLIP = DATA / "independence.opus"


class Running:
    def __init__(self, arguments: list[str]):
        command = [sys.executable, "-m", "asr.cli", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=DATA.parents[1])
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            if line.startswith("serving at"):
                break
        else:
            pytest.fail("".join(self.log))
        self.port = int(re.search(r":(\d+);", self.log[-1])[1])
        self.wyoming = next((int(line.split()[-1]) for line in self.log if "Wyoming" in line), None)  # its port
        self.url, self.socket = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}/v1/listen"
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self._reader.start()

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join(10)
        return status


@contextmanager
def running(*arguments: str):
    for package in ("starlette", "uvicorn", "websockets", "wyoming", "prometheus_client", "python_multipart"):
        pytest.importorskip(package, reason="needs the extra `serve`")
    server = Running(list(arguments))
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL if server.process.poll() is None and sys.exc_info()[0] else signal.SIGTERM)
        server.process.stderr.close()


@pytest.fixture(scope="module")
def server():
    with running() as found:
        yield found


def pcm(samples: np.ndarray) -> bytes:
    """16 bit, little-endian."""
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


def eager(path) -> str:
    """A detector that fires at everything: untrained, with the lowest threshold."""
    from wakeword.detector import DetectorOptions
    from wakeword.train import TriggerModel, TriggerOptions
    from wakeword.train.training import save_detector

    model = TriggerModel(TriggerOptions(hidden=12, channels=8))
    save_detector(model.eval(), path, {"phrase": "anything", "thresholds": {}}, DetectorOptions(1e-6))
    return str(path)
