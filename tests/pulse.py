"""A sound server for tests: what is played into it is what PortAudio hears from the input `pulse`, and by default.

A test module that says ``from pulse import sound_server  # noqa: F401`` has the fixture ``pulse``.
"""

import glob
import importlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"
ALSA = """
pcm.pulse { type pulse hint { show on description "the sound server" } }
ctl.pulse { type pulse }
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


class Pulse:
    """PulseAudio with one sound card: a sink whose monitor is the microphone. Nothing outside ``folder`` is touched."""

    def __init__(self, folder: Path):
        self._folder, self._daemon, self._players = folder, None, []
        (folder / "asound.conf").write_text(ALSA)
        self.settings = {  # environment variables that lead a program here
            "ALSA_CONFIG_PATH": f"{folder}/asound.conf",
            "PULSE_SERVER": f"unix:{folder}/native",
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_COOKIE": f"{folder}/cookie",
        }

    def environment(self) -> dict[str, str]:
        """Of a command that is to hear and play here."""
        return os.environ | self.settings

    def start(self) -> None:
        """The server, with the card in it; returns when both are there."""
        module = f"module-native-protocol-unix auth-anonymous=1 auth-cookie-enabled=0 socket={self._folder}/native"
        quiet = "-n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --disable-shm --realtime=no --high-priority=no"
        home = {"HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder)}
        with open(self._folder / "log", "ab") as log:
            self._daemon = subprocess.Popen(
                ["pulseaudio", *quiet.split(), "-L", module], env=self.environment() | home, stdout=log, stderr=log
            )
        for _ in range(300):
            if subprocess.run(["pactl", "info"], env=self.environment(), capture_output=True).returncode == 0:
                return self.plug()
            time.sleep(0.1)
        raise RuntimeError(f"pulseaudio did not start: {(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """End the server and everything that plays, as when a sound server crashes."""
        for process in [*self._players, self._daemon]:
            process.terminate()
            process.wait(20)
        self._players = []

    def plug(self) -> None:
        """Connect the card."""
        form = "format=float32le rate=48000 channels=2 norewinds=1"  # the last: sound waits for 50 ms, not for 2 s
        self._pactl("load-module", "module-null-sink", "sink_name=card", *form.split())

    def unplug(self) -> None:
        """Take the card away: the server has nothing to record from then."""
        self._pactl("unload-module", "module-null-sink")

    def play(self, samples: np.ndarray, rate: int = 16_000) -> subprocess.Popen:
        """Start to play (n,) float32; returns at once, ``wait()`` for the end of what is returned."""
        file = self._folder / f"{len(self._players)}.raw"
        file.write_bytes(samples.astype("<f4").tobytes())
        form = ["--raw", "--format=float32le", f"--rate={rate}", "--channels=1", "--latency-msec=1000"]
        self._players.append(subprocess.Popen(["paplay", *form, str(file)], env=self.environment()))
        return self._players[-1]

    def _pactl(self, *words: str) -> None:
        subprocess.run(["pactl", *words], env=self.environment(), check=True, capture_output=True, timeout=60)


@pytest.fixture(name="pulse")
def sound_server() -> Iterator[Pulse]:
    """A running server that this process's PortAudio hears; skipped where the parts for it are not installed."""
    sounddevice = _needed()
    with tempfile.TemporaryDirectory(prefix="pulse-") as folder, pytest.MonkeyPatch.context() as patch:
        server = Pulse(Path(folder))
        for name, value in server.settings.items():
            patch.setenv(name, value)
        sounddevice._terminate()
        try:
            server.start()
            sounddevice._initialize()
            yield server
            sounddevice._terminate()
        finally:
            server.stop()
    sounddevice._initialize()


def _needed():
    """The module sounddevice, if all is there."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here (apt install pulseaudio)")
    if not [*glob.glob(f"/usr/lib*/{PLUGIN}"), *glob.glob(f"/usr/lib/*/{PLUGIN}")]:
        pytest.skip("no way from ALSA to PulseAudio here (apt install libasound2-plugins)")
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        pytest.skip(f"no sounddevice, or no PortAudio here (apt install libportaudio2): {error}")
