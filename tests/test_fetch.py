"""Archives of corpora: fetched, verified, unpacked once; going on where a download broke off; a sentence otherwise."""

import http.server
import subprocess
import sys
import tarfile
import threading
import types
from pathlib import Path

import pytest

from recipes.fetch import CORPORA, FetchError, checksum, corpus, fetch

ROOT = Path(__file__).parent.parent


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str | None] = []
    sent = None  # bytes, after which the connection ends; None: all

    def do_GET(self) -> None:
        """With byte ranges, as the servers of corpora have them."""
        self.asked.append(self.headers.get("Range"))
        start = int((self.asked[-1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        data = (Path(self.directory) / self.path[1:]).read_bytes()[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: self.sent])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served(tmp_path):
    """An archive on a server: its address and checksum."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "hello.txt").write_text("hello " * 1000)
    with tarfile.open(source / "tiny.tar.gz", "w:gz") as tar:
        tar.add(source / "hello.txt", "Corpus/tiny/hello.txt")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(source)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/tiny.tar.gz", checksum(source / "tiny.tar.gz")
    server.shutdown()
    server.server_close()


def test_fetched_verified_and_unpacked_once(served, tmp_path):
    fetch(*served, tmp_path / "data")
    assert (tmp_path / "data/Corpus/tiny/hello.txt").read_text().startswith("hello")
    fetch(*served, tmp_path / "data")
    assert Handler.asked == [None]


def test_a_checksum_may_be_of_sha256(served, tmp_path):
    sha256 = checksum(tmp_path / "source/tiny.tar.gz", "sha256")
    fetch(served[0], sha256, tmp_path / "data")
    assert (tmp_path / "data/Corpus/tiny/hello.txt").exists()
    with pytest.raises(FetchError, match=f"is damaged .sha256 {sha256}, not 000"):
        fetch(served[0], "0" * 64, tmp_path / "other")


def test_a_download_goes_on_where_it_broke_off(served, tmp_path):
    (tmp_path / "data").mkdir()
    whole = (tmp_path / "source/tiny.tar.gz").read_bytes()
    (tmp_path / "data/tiny.tar.gz.part").write_bytes(whole[:50])
    fetch(*served, tmp_path / "data")
    assert Handler.asked == ["bytes=50-"] and (tmp_path / "data/tiny.tar.gz").read_bytes() == whole


def test_a_download_that_the_server_breaks_off_is_kept(served, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "sent", 60)
    with pytest.raises(FetchError, match="it broke off [0-9]+ bytes before its end; start again to go on"):
        fetch(*served, tmp_path / "data")
    monkeypatch.setattr(Handler, "sent", None)
    fetch(*served, tmp_path / "data")
    assert Handler.asked == [None, "bytes=60-"] and (tmp_path / "data/Corpus/tiny/hello.txt").exists()


def test_what_is_damaged_or_not_there_is_one_sentence(served, tmp_path):
    with pytest.raises(FetchError, match=r"tiny.tar.gz is damaged \(md5 .*\): remove it"):
        fetch(served[0], "0" * 32, tmp_path / "data")
    with pytest.raises(FetchError, match="cannot fetch .*: where there is no network, put the archive into"):
        fetch("http://127.0.0.1:1/none.tar.gz", "0" * 32, tmp_path / "data")


class Datasets:
    """As torchaudio.datasets: each class notes what it was asked for."""

    def __init__(self, fault: Exception | None = None):
        self.asked: list[tuple] = []
        self.fault = fault

    def __getattr__(self, name: str):
        def download(root: Path, **options: object) -> None:
            self.asked.append((name, root, options))
            if self.fault:
                raise self.fault

        return download


def with_torchaudio(monkeypatch, datasets: Datasets | None) -> None:
    module = types.ModuleType("torchaudio") if datasets else None
    if module:
        module.datasets = datasets
    monkeypatch.setitem(sys.modules, "torchaudio", module)


def test_a_corpus_is_downloaded_by_torchaudio_and_one_that_is_there_is_not(tmp_path, monkeypatch):
    datasets = Datasets()
    with_torchaudio(monkeypatch, datasets)
    assert corpus("librispeech", tmp_path / "new", "test-clean") == tmp_path / "new/LibriSpeech/test-clean"
    assert corpus("ljspeech", tmp_path / "new") == tmp_path / "new/LJSpeech-1.1"
    folder = tmp_path / "new"
    assert datasets.asked == [
        ("LIBRISPEECH", folder, {"url": "test-clean", "download": True}),
        ("LJSPEECH", folder, {"download": True}),
    ]
    with_torchaudio(monkeypatch, None)
    for name, (_, place) in CORPORA.items():
        path = tmp_path / "there" / place.format(part="one")
        path.mkdir(parents=True, exist_ok=True)
        assert corpus(name, tmp_path / "there", "one") == path


def test_where_torchaudio_does_not_load_or_download_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    with_torchaudio(monkeypatch, None)
    with pytest.raises(FetchError, match="torchaudio, which would download it, does not load .*: unpack the corpus"):
        corpus("vctk", tmp_path)
    with pytest.raises(FetchError, match="people who have agreed to its terms"):
        corpus("commonvoice", tmp_path, "en")
    with pytest.raises(FetchError, match="say which part of librispeech"):
        corpus("librispeech", tmp_path)
    with_torchaudio(monkeypatch, Datasets(RuntimeError("hash differs")))
    with pytest.raises(FetchError, match="cannot download cmu_arctic .hash differs.: unpack it as"):
        corpus("cmu_arctic", tmp_path, "bdl")


@pytest.mark.parametrize("script", sorted(ROOT.glob("recipes/*/*.sh")), ids=lambda path: path.parent.name)
def test_the_scripts_are_in_order_and_say_how_they_are_called(script):
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    assert f"recipes/{script.parent.name}/{script.name} " in script.read_text() and script.stat().st_mode & 0o100
    assert subprocess.run(["bash", script], capture_output=True).returncode != 0
