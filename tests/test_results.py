"""Where `asr transcribe` puts results: one belongs to its input for good and is skipped only if it is current."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr import audio
from asr.cli import main
from asr.commands import transcribe
from asr.commands.results import Folder
from asr.commands.terminal import INDEX
from asr.transcript import Segment, Word


class Echo:
    """A recogniser that hears the content of a file, one word a line, a second each."""

    def __init__(self):
        self.heard = []

    def segments(self, blocks):
        for n, word in enumerate(blocks):
            yield Segment(n, n + 0.5, (Word(word, n, n + 0.5, 1.0),))


class Lines:
    """In place of audio.Recording."""

    def __init__(self, source, *_):
        self.path, self.seconds, self.warning, self.notes = source, 0.0, "", []

    def blocks(self):
        words = sys.stdin.read().split() if self.path == "-" else Path(self.path).read_text().split()
        if words == ["broken"]:
            raise audio.AudioError(f"{self.path} is not audio")
        for word in words:
            if word == "cut":
                self.warning = f"{self.path} could be read for {self.seconds} s only"
                return
            self.seconds += 1
            yield word


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transcribe, "_load", lambda options: Echo())
    monkeypatch.setattr(audio, "Recording", Lines)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main(["transcribe", *map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return run


def files(**contents: str) -> None:
    for name, text in contents.items():
        path = Path(name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def results(folder: str = "out") -> dict[str, str]:
    found = sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.name != INDEX)
    return {str(p.relative_to(folder)): p.read_text() for p in found}


def test_a_second_recording_of_the_same_stem_does_not_take_the_first_ones_result(run):
    files(in__talk_wav="first")
    assert run("--output", "out", "--resume", "in")[0] == 0 and results() == {"talk.txt": "first\n"}
    files(in__talk_flac="second")
    status, _, err = run("--output", "out", "--resume", "in")
    assert status == 0 and "1 file" in err and "1 skipped" in err
    assert results() == {"talk.txt": "first\n", "talk.flac.txt": "second\n"}
    assert "the result of in/talk.flac goes to out/talk.flac.txt" in err


def test_results_of_other_packaged_models_are_made_anew(run, monkeypatch):
    files(in__a_wav="one", models__english_npz="weights", models__card_md="about them")
    monkeypatch.setattr("asr.commands.results.MODELS", Path("models"))
    command = "--output", "out", "--resume", "in"
    assert run(*command)[0] == 0 and "1 skipped" in run(*command)[2]
    files(models__card_md="more about them")
    assert "1 skipped" in run(*command)[2]
    files(models__english_npz="others")
    assert "skipped" not in run(*command)[2]


def test_sub_folders_are_kept(run):
    files(in__a_wav="one", in__deep__a_wav="two", in__deep__er__b_wav="three")
    run("--output", "out", "in")
    assert results() == {"a.txt": "one\n", "deep/a.txt": "two\n", "deep/er/b.txt": "three\n"}


def test_folders_with_the_same_names_in_them_never_share_a_result(run):
    files(one__a_wav="1", two__a_wav="2", three__a_wav="3", four__a_wav="4")
    run("--output", "out", "one", "two", "three/a.wav", "four")
    first = {"a.txt": "1\n", "a.wav.txt": "2\n", "a.wav-2.txt": "3\n", "a.wav-3.txt": "4\n"}
    assert results() == first
    status, _, err = run("--output", "out", "--resume", "four", "three/a.wav", "two", "one")
    assert status == 0 and "4 skipped" in err and results() == first


def test_whatever_is_added_removed_reordered_or_failed_each_result_stays_with_its_input(run):
    files(in__a_wav="broken", in__a_flac="flac", in__a_ogg="ogg")
    assert run("--output", "out", "in")[0] == 1
    assert results() == {"a.txt": "flac\n", "a.ogg.txt": "ogg\n"}
    Path("in/a.flac").unlink()
    files(in__a_wav="wav", in__a_mp3="mp3")
    assert run("--output", "out", "--resume", "in/a.wav", "in/a.mp3", "in/a.ogg")[0] == 0
    assert results() == {"a.txt": "flac\n", "a.ogg.txt": "ogg\n", "a.wav.txt": "wav\n", "a.mp3.txt": "mp3\n"}


def test_what_has_changed_is_done_again(run):
    files(in__a_wav="old", in__b_wav="same")
    run("--output", "out", "in")
    files(in__a_wav="new")
    os.utime("in/a.wav", (1, 1))
    status, _, err = run("--output", "out", "--resume", "in")
    assert status == 0 and "1 file" in err and "1 skipped" in err
    assert results() == {"a.txt": "new\n", "b.txt": "same\n"}


@pytest.mark.parametrize(
    "given", [["--no-lm"], ["--beam", "9"], ["--latency", "320"], ["--channel", "1"], ["--hotwords", "words"]]
)
def test_results_of_other_settings_are_done_again(run, given):
    files(in__a_wav="a", words="computer")
    run("--output", "out", "in")
    assert "0 files" not in run("--output", "out", "--resume", *given, "in")[2]
    assert "0 files" in run("--output", "out", "--resume", *given, "in")[2]
    assert "0 files" not in run("--output", "out", "--resume", "in")[2]
    assert "0 files" in run("--output", "out", "--resume", "--threads", 2, "in")[2]


def test_a_file_of_settings_that_has_changed_counts_as_another(run):
    files(in__a_wav="a", words="computer")
    given = ("--output", "out", "--resume", "--hotwords", "words", "in")
    run(*given)
    files(words="computers")
    assert "1 file," in run(*given)[2] and "0 files" in run(*given)[2]


def test_a_result_that_has_gone_is_done_again_in_the_same_place(run):
    files(in__a_wav="a")
    run("--output", "out", "in")
    Path("out/a.txt").unlink()
    assert "1 file," in run("--output", "out", "--resume", "in")[2] and results() == {"a.txt": "a\n"}


def test_what_was_read_in_part_only_is_told_again(run):
    files(in__a_wav="a cut")
    for _ in range(2):
        status, _, err = run("--output", "out", "--resume", "in")
        assert status == 1 and "could be read for 1.0 s only" in err
    assert results() == {"a.txt": "a\n"}


def test_a_file_that_is_not_ours_is_left_alone(run):
    files(in__a_wav="heard", in__a_txt="what was said")
    run("--output", "in", "in")
    assert results("in") == {"a.txt": "what was said", "a.wav.txt": "heard\n", "a.wav": "heard"}


def test_formats_side_by_side(run):
    files(in__a_wav="a")
    for _ in range(2):
        run("--output", "out", "--resume", "in")
        run("--output", "out", "--resume", "--format", "srt", "in")
    assert set(results()) == {"a.txt", "a.srt"}


def test_the_index_says_whose_each_result_is(run, tmp_path):
    files(in__a_wav="a")
    run("--output", "out", "--beam", "9", "in")
    (row,) = [json.loads(line) for line in Path("out", INDEX).read_text().splitlines()]
    assert row["source"] == str(tmp_path / "in/a.wav") and row["result"] == "a.txt"
    assert row["size"] == 1 and row["modified_ns"] == os.stat("in/a.wav").st_mtime_ns and row["settings"]["beam"] == 9


def test_a_torn_line_in_the_index_costs_that_result_only(run):
    files(in__a_wav="a", in__b_wav="b")
    run("--output", "out", "in")
    index = Path("out", INDEX)
    index.write_bytes(index.read_bytes()[:-20])
    files(in__c_wav="c")
    Path("out/b.txt").unlink()
    assert "2 files" in run("--output", "out", "--resume", "in")[2]
    assert "3 skipped" in run("--output", "out", "--resume", "in")[2]
    assert results() == {"a.txt": "a\n", "b.txt": "b\n", "c.txt": "c\n"}


@pytest.mark.parametrize("moment", ["unlink", "_append", "replace"])
def test_stopped_while_a_result_is_written(run, monkeypatch, moment):
    """Nothing half-written is taken for done, no other name is used, and no older text for the new settings."""
    files(in__a_wav="a")
    run("--output", "out", "in")
    files(in__a_wav="new text")

    def stop(*_, **__):
        raise KeyboardInterrupt

    where = {"unlink": Path, "_append": sys.modules["asr.commands.results"], "replace": os}[moment]
    with monkeypatch.context() as patch:
        patch.setattr(where, moment, stop)
        assert run("--output", "out", "--resume", "in")[0] == 130
    for path in Path("out").glob(".a.txt.*"):  # what a kill leaves
        os.remove(path)
    assert run("--output", "out", "--resume", "in")[0] == 0
    assert results() == {"a.txt": "new\ntext\n"}


def test_standard_input_never_takes_the_result_of_another_time(run, monkeypatch):
    import io

    for text in ("one", "two"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        run("--output", "out", "--resume", "-")
    assert results() == {"stdin.txt": "one\n", "stdin-2.txt": "two\n"}


def test_a_file_for_a_single_input(run):
    files(a_wav="a", b_wav="b")
    assert run("-o", "deep/out.srt", "a.wav")[0] == 0
    assert (
        Path("deep/out.srt").read_text() == "1\n00:00:00,000 --> 00:00:00,500\na\n\n"
        and not Path("deep", INDEX).exists()
    )
    assert run("--output", "out.JSON", "a.wav")[0] == 0 and json.loads(Path("out.JSON").read_text())["text"] == "a"
    Path("folder.txt").mkdir()
    run("--output", "folder.txt", "a.wav", "b.wav")
    assert results("folder.txt") == {"a.txt": "a\n", "b.txt": "b\n"}


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["-o", "out.srt", "a.wav", "b.wav"], "out.srt has room for one result, and there are 2 inputs: name a folder"),
        (["-o", "out.srt", "--format", "vtt", "a.wav"], "--output out.srt and --format vtt contradict each other"),
        (["-o", "out.docx", "a.wav"], "out.docx: results are .txt, .srt, .vtt, .tsv, .json, .textgrid; for a folder"),
        (["-o", "a.wav", "b.wav"], "a.wav: results are .txt"),
        (["-o", "plain", "a.wav"], "plain is a file: name a folder, or a file that ends in .txt"),
        (["-o", "plain/out.srt", "a.wav"], "plain is a file"),
        (["-o", "out.srt", "--resume", "a.wav"], "--resume needs --output DIR"),
        (["--format", "srt", "a.wav", "b.wav"], "2 inputs do not fit into one srt file: add --output DIR"),
        (["--format", "vtt", "a.wav", "b.wav"], "add --output DIR"),
        (["--format", "textgrid", "a.wav", "b.wav"], "add --output DIR"),
        ([""], "the name is empty"),
        (["-o", "", "a.wav"], "the name is empty"),
        (["--raw", "16000", "a.wav"], "'16000' is not RATE,WIDTH,CHANNELS: give for example 16000,2,1"),
        (["--channel", "0", "a.wav"], "'0' is not a whole number above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(run, arguments, sentence):
    files(a_wav="a", b_wav="b", plain="p")
    status, out, err = run(*arguments)
    assert status == 2 and sentence in err and out == "" and len(os.listdir()) == 3


def test_several_inputs_on_standard_output(run):
    files(a_wav="one two", b_wav="broken", c_wav="three")
    assert run("a.wav", "b.wav", "c.wav")[:2] == (1, "==> a.wav <==\none\ntwo\n\n==> c.wav <==\nthree\n")
    rows = "start\tend\ttext\tfile\n0\t500\tone\ta.wav\n1000\t1500\ttwo\ta.wav\n0\t500\tthree\tc.wav\n"
    assert run("--format", "tsv", "a.wav", "b.wav", "c.wav")[:2] == (1, rows)
    assert run("--format", "tsv", "a.wav")[1] == "start\tend\ttext\n0\t500\tone\n1000\t1500\ttwo\n"
    assert run("a.wav")[1] == "one\ntwo\n"
    lines = run("--format", "json", "a.wav", "c.wav")[1].splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["a.wav", "c.wav"]


@pytest.mark.parametrize("format, behind", [("txt", 0), ("tsv", 0), ("srt", 1), ("vtt", 1)])
def test_text_appears_while_a_file_is_worked_on(run, monkeypatch, capsys, format, behind):
    files(a_wav="word1 word2 word3 word4")
    shown = []

    def segments(self, blocks):
        for segment in heard(self, blocks):
            yield segment
            shown.append(capsys.readouterr().out.count("word"))

    heard = Echo.segments
    monkeypatch.setattr(Echo, "segments", segments)
    run("--format", format, "a.wav")
    assert sum(shown) >= 3 - behind and max(shown) == 1 and len(shown) == 4


def test_many_inputs_cost_little(tmp_path):
    """The index is read once and written at its end."""
    folder = Folder(str(tmp_path), "txt", {})
    began = time.process_time()
    for number in range(2_000):
        folder.claim(f"/in/{number}.wav", f"{number}.wav")
    assert time.process_time() - began < 2


def test_killed_at_any_moment_and_resumed(tmp_path):
    """The whole command, killed again and again while it writes; every result comes once and is whole."""
    script = (
        "import sys; sys.path.insert(0, {tests!r}); import test_results as t; from asr import audio, cli\n"
        "from asr.commands import transcribe\n"
        "transcribe._load, audio.Recording = lambda options: t.Echo(), t.Lines\n"
        "sys.exit(cli.main(['transcribe', '--quiet', '--output', 'out', '--resume', 'in']))"
    ).format(tests=str(Path(__file__).parent))
    (tmp_path / "in").mkdir()
    for number in range(300):
        (tmp_path / f"in/{number}.wav").write_text(f"text{number} " * 200)
    for delay in (0.0, 0.01, 0.02, 0.05):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
        until = time.monotonic() + 60
        while not (tmp_path / "out" / INDEX).exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path).returncode == 0
    found = {name: text for name, text in results(tmp_path / "out").items() if not name.startswith(".")}
    assert found == {f"{n}.txt": f"text{n}\n" * 200 for n in range(300)}
