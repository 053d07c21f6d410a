"""Headless Chromium for tests, driven by its DevTools protocol; its microphone plays a wav file."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --remote-debugging-port=0 --use-fake-ui-for-media-stream
--use-fake-device-for-media-stream --autoplay-policy=no-user-gesture-required --disable-dev-shm-usage""".split()


class Page:
    def __init__(self, link, session: str):
        self._link, self._session, self._numbers = link, session, itertools.count(1_000)
        self.problems: list[str] = []  # exceptions, and what the console says of errors
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, "sessionId": self._session}
        self._link.send(json.dumps(message))
        while True:
            answer = json.loads(self._link.recv(timeout=60))
            entry = answer.get("params", {}).get("entry", {})
            if answer.get("method") == "Runtime.exceptionThrown" or entry.get("level") == "error":
                self.problems.append(json.dumps(answer["params"])[:500])
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, script: str):
        found = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 60):
        """Until it is true."""
        until = time.monotonic() + seconds
        while not (value := self.value(script)):
            assert time.monotonic() < until, (script, self.value("document.body.innerText"), self.problems)
            time.sleep(0.1)
        return value

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.do(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text=key if len(key) == 1 else "",
            )

    def size(self, width: int, height: int) -> None:
        self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"]))

    def choose(self, selector: str, path: Path) -> None:
        """A file, for an input."""
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        node = self.do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.do("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


@contextmanager
def browser(url: str, sound: Path):
    """A page open at the address; its microphone hears the wav file again and again."""
    program = shutil.which("chromium") or pytest.skip("needs chromium (apt install chromium)")
    connect = pytest.importorskip("websockets.sync.client").connect
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS, f"--user-data-dir={profile}", f"--use-file-for-fake-audio-capture={sound}"]
        process = subprocess.Popen(
            [*command, "about:blank"], stderr=subprocess.PIPE, text=True, env=os.environ | {"HOME": profile}
        )
        try:
            address = next(m[1] for line in process.stderr if (m := re.search(r"listening on (ws://\S+)", line)))
            with connect(address, max_size=None) as link:
                link.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
                target = json.loads(link.recv())["result"]["targetId"]
                params = {"targetId": target, "flatten": True}
                link.send(json.dumps({"id": 2, "method": "Target.attachToTarget", "params": params}))
                while (answer := json.loads(link.recv())).get("id") != 2:
                    pass
                page = Page(link, answer["result"]["sessionId"])
                page.do("Page.navigate", url=url)
                yield page
        finally:
            process.terminate()
            process.wait(20)
            process.stderr.close()
