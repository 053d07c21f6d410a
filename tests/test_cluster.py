"""`asr transcribe --cluster` with a scheduler and two worker processes on this machine."""

import builtins
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import audio
from asr.cli import main
from asr.commands import cluster
from asr.commands.terminal import INDEX

distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")

DATA = Path(__file__).parent / "data"
CLIPS = [DATA / json.loads(line)["audio_filepath"] for line in (DATA / "clips.jsonl").open()]


@contextmanager
def local_cluster(workers: int) -> Iterator[distributed.LocalCluster]:
    """Which may take a minute to start and a minute to stop, and no longer."""

    def late(*_):
        raise TimeoutError("dask hangs")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as cluster:
        signal.alarm(0)
        yield cluster
        signal.alarm(60)
    signal.alarm(0)


@pytest.fixture(scope="module")
def workers():
    with local_cluster(2) as found:
        yield found


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Recordings of several sentences, in a folder that the command is given by a relative path."""
    sentences = [audio.load(str(clip)) for clip in CLIPS]
    (tmp_path / "in").mkdir()
    for number in range(6):
        pair = [sentences[number % len(sentences)], sentences[(2 * number + 1) % len(sentences)]]
        soundfile.write(tmp_path / f"in/{number}.wav", np.concatenate(pair), 16_000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main(["transcribe", "--threads", "1", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_worker_is_killed_and_nothing_is_lost_or_different(workers, files, capsys, monkeypatch):
    options = ("--format", "json", "--output")
    assert run(capsys, *options, "alone", "in")[0] == 0
    with distributed.Client(workers) as client:
        victim = next(iter(client.run(os.getpid).values()))
    written = []

    def outcome(future, source):
        if not written:
            os.kill(victim, signal.SIGKILL)
        written.append(source)
        return found(future, source)

    found = cluster._outcome
    monkeypatch.setattr(cluster, "_outcome", outcome)
    status, _, err = run(capsys, "--cluster", workers.scheduler_address, *options, "together", "in")
    assert status == 0 and "6 files" in err and "Traceback" not in err
    index = [contents(files / folder).pop(INDEX) for folder in ("together", "alone")]
    assert sorted(index[0].splitlines()) == sorted(index[1].splitlines())
    results = [
        {name: text for name, text in contents(files / f).items() if name != INDEX} for f in ("together", "alone")
    ]
    assert results[0] == results[1] and len(results[0]) == 6
    assert sorted(written) == sorted(set(written))


def test_results_come_out_in_the_order_given_and_what_failed_is_told_at_the_end(workers, files, capsys):
    (files / "no.wav").write_text("this is no sound")
    whole = (files / "in/3.wav").read_bytes()
    (files / "cut.wav").write_bytes(whole[: len(whole) // 2])
    sources = ["in/5.wav", "no.wav", "in/1.wav", "missing.wav", "cut.wav", "in/4.wav"]
    status, alone, _ = run(capsys, "--format", "json", *sources)
    assert status == 1
    status, together, err = run(capsys, "--cluster", workers.scheduler_address, "--format", "json", *sources)
    lines = [line for line in err.splitlines() if "error" in line]
    assert status == 1 and together == alone and len(together.splitlines()) == 4
    assert "no.wav is not audio" in lines[-2] and str(files) not in lines[-2] and "3 with errors" in lines[-1]


def test_resume_leaves_alone_what_is_there(workers, files, capsys):
    at = ("--cluster", workers.scheduler_address, "--output", "out")
    assert run(capsys, *at, *(f"in/{number}.wav" for number in range(1, 6)))[0] == 0
    for number in range(1, 6):
        (files / f"out/{number}.txt").write_text("kept")
    status, _, err = run(capsys, "--cluster", workers.scheduler_address, "--output", "out", "--resume", "in")
    assert status == 0 and "1 file" in err and "5 skipped" in err
    assert (files / "out/0.txt").read_text().strip() and (files / "out/1.txt").read_text() == "kept"


def test_a_file_that_fails_is_tried_again_by_the_other_worker(workers, files, capsys):
    """As where one machine lacks the shared folder: here a folder that only one process may enter is simulated."""
    with distributed.Client(workers) as client:
        address = next(iter(client.scheduler_info()["workers"]))
        client.run(_blind, workers=[address])
        status, out, err = run(capsys, "--cluster", workers.scheduler_address, "in/0.wav", "in/1.wav", "in/2.wav")
        client.run(_seeing, workers=[address])
    assert (status, err.count("error")) == (0, 0), err
    assert "3 files" in err and len(out.splitlines()) >= 3


def _blind() -> None:
    def nothing(recording, seconds=10.0):
        raise audio.AudioError(f"{recording.name} does not exist")
        yield

    audio.seen, audio.Recording.blocks = audio.Recording.blocks, nothing


def _seeing() -> None:
    audio.Recording.blocks = audio.seen


@pytest.mark.parametrize(
    "arguments, sentence",
    [(("--model", "klingon"), "klingon"), (("--commands", "commands"), "alphabet"), (("-",), "standard input")],
)
def test_what_cannot_begin_says_why(workers, files, capsys, arguments, sentence):
    (files / "commands").write_text("42\n")
    status, out, err = run(capsys, "--cluster", workers.scheduler_address, "in/0.wav", *arguments)
    assert status == 2 and sentence in err and len(err.splitlines()) == 1 and not out


def test_workers_without_the_package_or_with_another_version(workers, files, capsys, monkeypatch):
    with distributed.Client(workers) as client:
        address = next(iter(client.scheduler_info()["workers"]))
        client.run(_hide, workers=[address])
        status, _, err = run(capsys, "--cluster", workers.scheduler_address, "in/0.wav")
        client.run(exec, "import sys; sys.modules['asr'] = sys.modules.pop('hidden')", workers=[address])
    assert status == 2 and address in err and "has no package `asr`" in err
    monkeypatch.setattr(cluster, "__version__", "99")
    status, _, err = run(capsys, "--cluster", workers.scheduler_address, "in/0.wav")
    assert status == 2 and "this machine 99" in err


def _hide() -> None:
    sys.modules["hidden"], sys.modules["asr"] = sys.modules["asr"], None


def test_no_scheduler_and_no_workers(files, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    status, _, err = run(capsys, "--cluster", address, "in/0.wav")
    assert status == 2 and f"no scheduler answers at {address}" in err
    status, _, err = run(capsys, "--cluster", "nonsense://x", "in/0.wav")
    assert status == 2 and "no scheduler answers" in err
    monkeypatch.setattr(cluster, "CONNECT", 2)
    with local_cluster(0) as empty:
        status, _, err = run(capsys, "--cluster", empty.scheduler_address, "in/0.wav")
    assert status == 2 and "has no workers" in err


@pytest.mark.parametrize("answer", [lambda heard: b"", lambda heard: heard, lambda heard: b"HTTP/1.1 400 Bad Request"])
def test_who_is_silent_or_says_anything_else_is_no_scheduler(files, capsys, monkeypatch, answer):
    class Stranger(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while heard := self.request.recv(1 << 16):
                self.request.sendall(answer(heard))

    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stranger) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        begin = time.monotonic()
        status, _, err = run(capsys, "--cluster", address, "in/0.wav")
        server.shutdown()
    assert status == 2 and f"no scheduler answers at {address}" in err and len(err.splitlines()) == 1
    assert time.monotonic() - begin < 5


def test_without_dask_it_says_what_to_install(files, capsys, monkeypatch):
    whole = builtins.__import__

    def without(name, *rest):
        if name.startswith("distributed"):
            raise ModuleNotFoundError(name)
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    status, _, err = run(capsys, "--cluster", "127.0.0.1:8786", "in/0.wav")
    assert status == 2 and "pip install" in err
