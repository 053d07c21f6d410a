"""asr.transcript: the numbers and texts in each format, and files that appear whole or not at all."""

import errno
import html
import io
import json
import os
import re
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcript import (
    FORMATS,
    LINE,
    LINES,
    PAUSE_S,
    READING_RATE,
    OutputError,
    Segment,
    StreamWriter,
    Transcript,
    Word,
    captions,
    save,
)  # fmt: skip


def segment(*words: tuple[str, float, float], confidence: float = 0.5) -> Segment:
    spoken = tuple(Word(*word, confidence) for word in words)
    return Segment(spoken[0].start, spoken[-1].end, spoken)


def rendered(transcript: Transcript, format: str) -> str:
    file = io.StringIO()
    FORMATS[format].write(transcript, file)
    return file.getvalue()


HELLO = segment(("hello", 0.5, 0.9), ("world", 1.0, 1.40049))
LATER = segment(("r&b's", 360_000.0, 360_000.5), ("<now>", 360_000.6, 360_001.2346))
SHORT = Transcript("talk.mp3", 360_010.0, (HELLO, Segment(2.0, 3.0, ()), LATER))
SILENCE = Transcript("hum.wav", 10.0, ())


@st.composite
def transcripts(draw) -> Transcript:
    """Words in order of time, in segments, as a recogniser gives them."""
    texts = draw(st.lists(st.text("abcdefghij'", min_size=1, max_size=50), max_size=60))
    now, segments, words = 0.0, [], []
    for text in texts:
        start = now + draw(st.floats(0, 0.3))
        now = start + draw(st.floats(0, 0.5))
        words.append(Word(text, start, now, draw(st.floats(0, 1))))
        if draw(st.integers(0, 9)) == 0:
            segments.append(Segment(words[0].start, now, tuple(words)))
            words = []
    if words:
        segments.append(Segment(words[0].start, now, tuple(words)))
    return Transcript("a.wav", now + 1, tuple(segments))


def test_text_and_confidence():
    assert SHORT.text == "hello world r&b's <now>"
    both = Segment(0, 2, (Word("a", 0, 1, 0.25), Word("b", 1, 2, 0.75)))
    assert both.confidence == pytest.approx(0.5)
    assert Segment(0, 1, ()).confidence == 0 and SILENCE.text == ""


def test_txt():
    assert rendered(SHORT, "txt") == "hello world\nr&b's <now>\n"


def test_srt():
    assert rendered(SHORT, "srt") == (
        "1\n00:00:00,500 --> 00:00:01,400\nhello world\n\n2\n100:00:00,000 --> 100:00:01,235\nr&b's <now>\n\n"
    )


def test_vtt():
    assert rendered(SHORT, "vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.400\nhello world\n\n"
        "100:00:00.000 --> 100:00:01.235\nr&amp;b's &lt;now&gt;\n\n"
    )


def test_tsv():
    assert rendered(SHORT, "tsv") == ("start\tend\ttext\n500\t1400\thello world\n360000000\t360001235\tr&b's <now>\n")


NUMBER, QUOTED = r"([\d.]+)\n", r'"((?:[^"]|"")*)"\n'


def tiers(textgrid: str) -> dict[str, list[tuple[float, float, str]]]:
    """Praat's long format back to intervals, its counts and borders checked."""
    head, *items = re.split(r"item \[\d+\]:\n", textgrid)
    end = float(re.search(r"^xmax = " + NUMBER, head, re.M)[1])
    assert head.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\n')
    assert int(re.search(r"^size = (\d+)$", head, re.M)[1]) == len(items)
    found = {}
    for item in items:
        matches = re.findall(rf"intervals \[\d+\]:\nxmin = {NUMBER}xmax = {NUMBER}text = {QUOTED}", item)
        intervals = [(float(a), float(b), text.replace('""', '"')) for a, b, text in matches]
        assert int(re.search(r"intervals: size = (\d+)", item)[1]) == len(intervals)
        assert intervals[0][0] == 0 and intervals[-1][1] == end
        assert all(a[1] == b[0] for a, b in zip(intervals, intervals[1:])) and all(a < b for a, b, _ in intervals)
        found[re.search("name = " + QUOTED, item)[1]] = intervals
    return found


def test_textgrid():
    said = Transcript("a.wav", 2.0, (segment(('"hello"', 0.5, 0.9), ("world", 0.9, 1.4005)),))
    assert tiers(rendered(said, "textgrid")) == {
        "words": [(0, 0.5, ""), (0.5, 0.9, '"hello"'), (0.9, 1.4, "world"), (1.4, 2, "")],
        "segments": [(0, 0.5, ""), (0.5, 1.4, '"hello" world'), (1.4, 2, "")],
    }
    assert tiers(rendered(SILENCE, "textgrid")) == {"words": [(0, 10, "")], "segments": [(0, 10, "")]}


@given(transcripts())
def test_textgrid_keeps_every_word_where_it_was(transcript):
    found = tiers(rendered(transcript, "textgrid"))["words"]
    words = [w for s in transcript.segments for w in s.words]
    assert [text for *_, text in found if text] == [w.text for w in words]
    close = {n: pytest.approx(n, abs=0.001 * (len(words) + 1)) for w in words for n in (w.start, w.end)}
    assert [(a, b) for a, b, text in found if text] == [(close[w.start], close[w.end]) for w in words]


def test_json():
    content = rendered(Transcript("talk.mp3", 2.00049, (HELLO,)), "json")
    assert content.endswith("\n") and content.count("\n") == 1
    words = [
        {"start": 0.5, "end": 0.9, "text": "hello", "confidence": 0.5},
        {"start": 1.0, "end": 1.4, "text": "world", "confidence": 0.5},
    ]
    spoken = {"start": 0.5, "end": 1.4, "text": "hello world", "confidence": 0.5, "words": words}
    expected = {
        "file": "talk.mp3",
        "text": "hello world",
        "spoken": "hello world",
        "duration": 2.0,
        "segments": [spoken],
    }
    assert json.loads(content) == expected


def test_json_of_a_file_name_that_is_not_unicode():
    name = os.fsdecode(b"caf\xe9.wav")
    assert json.loads(rendered(Transcript(name, 1.0, ()), "json").encode("ascii"))["file"] == name


@pytest.mark.parametrize(
    "format, content", [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n\n"), ("tsv", "start\tend\ttext\n")]
)
def test_silence(format, content):
    assert rendered(SILENCE, format) == content


@given(transcripts())
def test_captions_keep_every_word_fit_and_never_overlap(transcript):
    shown = list(captions(transcript.segments))
    assert [word for *_, lines in shown for line in lines for word in line.split()] == transcript.text.split()
    for start, end, lines in shown:
        assert start <= end and 1 <= len(lines) <= LINES
        assert all(len(line) <= LINE or " " not in line for line in lines)
    assert all(this[1] <= following[0] for this, following in zip(shown, shown[1:]))


def test_captions_break_at_the_times_of_words():
    long = segment(*[("seven77", i, i + 0.75) for i in range(30)])
    shown = list(captions([long]))
    assert [(start, end) for start, end, _ in shown] == [(0, 9_750), (10_000, 19_750), (20_000, 29_750)]
    assert {len(lines) for *_, lines in shown} == {2}


def test_words_are_never_broken():
    words = ["a" * 34, "mother-in-law", "x" * 50]
    long = segment(*[(word, i, i + 1) for i, word in enumerate(words)])
    shown = list(captions([long]))
    assert shown == [(0, 2_000, words[:2]), (2_000, 4_500, words[2:])]  # 50 characters take 2.5 s to read


def test_captions_of_segments_that_overlap():
    first, second = segment(("one", 0.0, 5.0)), segment(("two", 3.0, 6.0))
    shown = list(captions([first, second]))
    assert shown == [(0, 3_000, ["one"]), (3_000, 6_000, ["two"])]
    assert rendered(Transcript("a.wav", 6, (second, first)), "srt") == rendered(
        Transcript("a.wav", 6, (first, second)), "srt"
    )


def test_captions_break_at_pauses():
    said = segment(("well", 0.0, 0.4), ("now", 0.5, 2.0), ("listen", 2.0 + PAUSE_S, 3.0), ("here", 3.1, 4.0))
    assert list(captions([said])) == [(0, 2_000, ["well now"]), (2_500, 4_000, ["listen here"])]


def test_a_full_caption_is_split_at_the_longest_pause_of_its_second_half():
    """Of 10 words of 7 letters that fill a caption, the pause before the eighth is the longest; an earlier one counts
    no more, though it is longer still."""
    starts, now = [], 0.0
    for number in range(12):
        now += {2: 0.4, 7: 0.3}.get(number, 0.1)
        starts.append(now)
        now += 0.5
    said = segment(*[("seven77", start, start + 0.5) for start in starts])
    shown = [sum(len(line.split()) for line in lines) for _, _, lines in captions([said])]
    assert shown == [7, 5]


def test_captions_break_where_sentences_end():
    """A full one behind the sentence that ends in its second half, though a pause is longer; one of two lines behind
    any; and its first line behind a comma."""
    words = "it was late and all of them had gone home by then. nobody else was there at all, so he closed the door"
    said = segment(*[(word, 0.3 * i + (i > 13) * 0.4, 0.3 * i + 0.3) for i, word in enumerate(words.split())])
    shown = [lines for *_, lines in captions([said])]
    assert [" ".join(lines).split()[-1] for lines in shown] == ["then.", "door"] and shown[1][0].endswith("all,")


def test_lines_do_not_part_what_belongs_together():
    words = "the names were displayed in a different font".split()
    said = segment(*[(word, 0.3 * i, 0.3 * i + 0.3) for i, word in enumerate(words)])
    assert [lines for *_, lines in captions([said])] == [["the names were displayed", "in a different font"]]
    words = "and it slept below the table. please put both of the empty bottles on the little shelf over there".split()
    said = segment(*[(word, 0.3 * i, 0.3 * i + 0.3) for i, word in enumerate(words)])
    assert [lines[-1].split()[-1] for *_, lines in captions([said])] == ["table.", "there"]


def test_text_is_what_is_written_and_words_are_what_was_said():
    written = replace(segment(("twenty", 0.0, 0.4), ("one", 0.5, 0.9)), written=(Word("21.", 0.0, 0.9, 0.5),))
    said = Transcript("a.wav", 1.0, (written,))
    assert (said.text, said.spoken) == ("21.", "twenty one") and rendered(said, "txt") == "21.\n"
    found = json.loads(rendered(said, "json"))
    assert (found["text"], found["spoken"], found["segments"][0]["text"]) == ("21.", "twenty one", "21.")
    assert [w["text"] for w in found["segments"][0]["words"]] == ["twenty", "one"]
    assert [(w["text"], w["end"]) for w in found["segments"][0]["written"]] == [("21.", 0.9)]
    assert "21" in rendered(said, "srt") and "21" in rendered(said, "tsv") and "21" not in rendered(said, "textgrid")


def test_a_caption_stays_until_it_can_be_read_or_the_next_one_begins():
    quick = segment(("x" * 40, 0.0, 0.5))
    assert list(captions([quick])) == [(0, 2_000, ["x" * 40])] and READING_RATE == 20
    assert list(captions([quick, segment(("y", 1.5, 2.0))]))[0] == (0, 1_500, ["x" * 40])


@pytest.mark.parametrize("format", [name for name, writer in FORMATS.items() if isinstance(writer, StreamWriter)])
def test_text_is_written_while_segments_come(format):
    """After each segment everything is written but the last caption, whose end depends on what follows."""
    segments, given = [segment((f"word{n}", n, n + 0.5)) for n in range(5)], []

    def coming():
        for one in segments:
            given.append(one)
            yield one

    behind, text = 2 if format in ("srt", "vtt") else 1, ""
    for part in FORMATS[format].parts(coming()):
        text += part
        assert text.count("word") >= len(given) - behind
    assert text == rendered(Transcript("a.wav", 5.0, tuple(segments)), format)


@given(transcripts())
def test_formats_agree(transcript):
    texts = rendered(transcript, "txt").split()
    assert json.loads(rendered(transcript, "json"))["text"].split() == texts
    cells = [row.split("\t")[2] for row in rendered(transcript, "tsv").splitlines()[1:]]
    assert " ".join(cells).split() == texts
    stamp = r"\d\d:\d\d:\d\d[.,]\d{3} --> \d\d:\d\d:\d\d[.,]\d{3}\n"
    for format in ("srt", "vtt"):
        shown = re.split(stamp, rendered(transcript, format))[1:]
        lines = [re.sub(r"\n\n\d+\n", "\n\n", caption) for caption in shown]  # without srt's numbers
        assert html.unescape(" ".join(lines)).split() == texts


# files


@pytest.mark.parametrize("format", FORMATS)
def test_save(tmp_path, format):
    path = tmp_path / "new" / f"a.{format}"
    save(SHORT, str(path), format)
    assert path.read_text() == rendered(SHORT, format)
    assert os.listdir(path.parent) == [path.name]


def test_save_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(SHORT, "a.txt", "txt")
    assert os.listdir() == ["a.txt"]


class Full:
    def write(self, transcript, file):
        file.write("half a")
        raise OSError(errno.ENOSPC, "No space left on device")


class Stopped:
    def write(self, transcript, file):
        file.write("half a")
        raise KeyboardInterrupt


@pytest.mark.parametrize("writer, error", [(Full(), OutputError), (Stopped(), KeyboardInterrupt)])
def test_what_fails_halfway_leaves_the_old_file(tmp_path, monkeypatch, writer, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setitem(FORMATS, "txt", writer)
    with pytest.raises(error):
        save(SHORT, str(path), "txt")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 kB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting takes root and its powers")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk(tiny_disk):
    many = Transcript("a.wav", 1.0, (HELLO,) * 2000)
    path = str(tiny_disk / "a.json")
    with pytest.raises(OutputError) as caught:
        save(many, path, "json")
    assert str(caught.value) == f"{path} cannot be written: No space left on device"
    assert os.listdir(tiny_disk) == []


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        save(SHORT, str(tmp_path / "file" / "a.txt"), "txt")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that even root cannot write")
def test_a_folder_nobody_can_write():
    with pytest.raises(OutputError, match="^/proc/a.txt cannot be written: "):
        save(SHORT, "/proc/a.txt", "txt")
