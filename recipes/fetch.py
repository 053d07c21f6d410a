"""Public corpora: fetched once, verified, unpacked. What lies in the folder already is not fetched again.

python -m recipes.fetch CORPUS FOLDER [PART]                   # by torchaudio.datasets; librispeech, for example
python -m recipes.fetch FOLDER URL CHECKSUM [URL CHECKSUM ...] # any archive; MD5 or SHA-256, by its length
"""

from __future__ import annotations

import hashlib
import http.client
import sys
import tarfile
import urllib.request
from pathlib import Path

from asr.errors import Error

BLOCK = 1 << 20  # bytes


CORPORA = {  # the class in torchaudio.datasets, and where below FOLDER it unpacks the corpus or a PART of it
    "librispeech": ("LIBRISPEECH", "LibriSpeech/{part}"),
    "speech_commands": ("SPEECHCOMMANDS", "SpeechCommands/speech_commands_v0.02"),
    "ljspeech": ("LJSPEECH", "LJSpeech-1.1"),
    "vctk": ("VCTK_092", "VCTK-Corpus-0.92"),
    "cmu_arctic": ("CMUARCTIC", "ARCTIC/cmu_us_{part}_arctic"),
    "commonvoice": ("COMMONVOICE", "{part}"),
}


class FetchError(Error):
    """One sentence: what could not be fetched, and what to do."""


def corpus(name: str, folder: Path, part: str = "") -> Path:
    """A corpus as it lies below the folder, or as torchaudio downloads it there. Raises FetchError."""
    kind, place = CORPORA[name]
    if "{part}" in place and not part:
        raise FetchError(f"say which part of {name}: python -m recipes.fetch {name} {folder} PART")
    path = folder / place.format(part=part)
    if path.is_dir():
        return path
    if name == "commonvoice":
        raise FetchError(
            f"there is no {path}: Mozilla gives Common Voice out to people who have agreed to its terms, "
            "https://commonvoice.mozilla.org/datasets; unpack it there"
        )
    try:
        from torchaudio import datasets
    except (ImportError, OSError) as error:  # OSError: a wheel built for another torch
        raise FetchError(
            f"there is no {path}, and torchaudio, which would download it, does not load "
            f"({str(error).splitlines()[0]}): unpack the corpus there, or install a pair that fits: "
            "pip install torch torchaudio --index-url https://download.pytorch.org/whl/cpu"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        getattr(datasets, kind)(folder, **({"url": part} if "{part}" in place else {}), download=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise FetchError(f"torchaudio cannot download {name} ({error}): unpack it as {path}") from None
    return path


def fetch(url: str, wanted: str, folder: Path) -> Path:
    """Download (going on where it broke off), verify and unpack an archive -> the archive. Raises FetchError."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / url.rsplit("/", 1)[-1]
    done = archive.with_name(f"{archive.name}.unpacked")
    if done.exists():
        return archive
    if not archive.exists():
        _download(url, archive)
    kind = "sha256" if len(wanted) == 64 else "md5"
    if (found := checksum(archive, kind)) != wanted:
        raise FetchError(f"{archive} is damaged ({kind} {found}, not {wanted}): remove it and start again")
    try:
        with tarfile.open(archive) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
            tar.extractall(folder)
    except (tarfile.TarError, OSError) as error:
        raise FetchError(f"cannot unpack {archive}: {error}") from None
    done.touch()
    return archive


def _download(url: str, archive: Path) -> None:
    partial = archive.with_name(f"{archive.name}.part")
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as source, partial.open("ab") as target:
            if start and getattr(source, "status", None) != 206:  # the server sends all of it again
                target.truncate(0)
            while block := source.read(BLOCK):
                target.write(block)
            if left := getattr(source, "length", None):
                raise OSError(f"it broke off {left} bytes before its end; start again to go on")
    except (OSError, http.client.HTTPException) as error:  # urllib.error.URLError, a timeout, a full disk
        raise FetchError(
            f"cannot fetch {url} ({error}): where there is no network, put the archive into {archive.parent}, "
            "or give the folder of a corpus that is unpacked already"
        ) from None
    partial.rename(archive)


def checksum(path: Path, kind: str = "md5") -> str:
    digest = hashlib.new(kind)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def main() -> None:
    named = len(sys.argv) in (3, 4) and sys.argv[1] in CORPORA
    if not named and (len(sys.argv) < 4 or len(sys.argv) % 2):
        sys.exit("\n".join(__doc__.strip().splitlines()[-2:]))
    try:
        if named:
            print(corpus(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
            return
        for url, wanted in zip(sys.argv[2::2], sys.argv[3::2]):
            print(fetch(url, wanted, Path(sys.argv[1])))
    except FetchError as error:
        sys.exit(f"fetch: {error}")


if __name__ == "__main__":
    main()
