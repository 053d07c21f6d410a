"""`asr score`: what it reads, how it matches, what it counts, what it says of two systems."""

import json
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.cli import main
from asr.commands.score import side_by_side
from asr.commands.score_input import ScoreError, Text, match, read_texts
from asr.score import align, compare, count

CLIPS = Path(__file__).parent / "data" / "clips.jsonl"
words = st.lists(st.sampled_from(["the", "cat", "sat", "mat"]), max_size=8)


@given(words, words)
def test_an_alignment_holds_both_texts_and_as_many_errors_as_jiwer_counts(reference, hypothesis):
    pairs = align(reference, hypothesis)
    assert [r for r, _ in pairs if r] == reference and [h for _, h in pairs if h] == hypothesis
    if reference:
        theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
        assert count(pairs).total == theirs.substitutions + theirs.deletions + theirs.insertions
        assert count(pairs).length == len(reference)


def test_the_alignment_in_colour_and_without():
    pairs = align("the cat sat".split(), "a cat sat down".split())
    assert side_by_side(pairs, False) == "  said   THE cat sat ****\n  heard  A   cat sat DOWN"
    assert side_by_side(pairs, False, 8).splitlines()[::2] == ["  said   THE cat", "  said   sat ****"]
    assert "\x1b[33mthe\x1b[0m" in side_by_side(pairs, True) and "\x1b[32mdown\x1b[0m" in side_by_side(pairs, True)


def test_the_paired_test_sees_what_two_intervals_would_not():
    rng = np.random.default_rng(1)
    total, hard = np.full(200, 10), rng.integers(0, 9, 200)  # utterances differ far more than the systems
    found = compare(hard + 1, hard + (rng.random(200) < 0.7), total)
    assert found.better > 0.999 and found.low < found.difference < found.high < 0
    assert compare(hard, hard, total).better == 0.5
    back = compare(hard + (rng.random(200) < 0.7), hard + 1, total)
    assert back.better < 0.001


@pytest.fixture
def files(tmp_path):
    def write(**contents: str) -> list[str]:
        for name, text in contents.items():
            (tmp_path / name).write_text(text)
        return [str(tmp_path / name) for name in contents]

    return write


def report(capsys, *arguments: str) -> dict:
    assert main(["score", *arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_kaldi_text_in_any_order(files, capsys):
    ref, hyp = files(ref="utt_1 the cat sat\nutt_2 a mat\n", hyp="utt_2 a mat\nutt_1 the bat sat down\n")
    [found] = report(capsys, ref, hyp)["systems"]
    assert (found["words"], found["substituted"], found["inserted"], found["deleted"]) == (5, 20, 20, 0)
    assert found["wer"] == 40 and found["confusions"][0] == {"reference": "cat", "hypothesis": "bat", "count": 1}
    assert [e["substituted"] for e in found["each"]] == [1, 0]


def test_plain_lines_and_lines_that_look_like_ids(files, capsys):
    ref, hyp = files(ref="1st the cat\n2nd a mat\n", hyp="1st the cat\n2nd a rat\n")
    assert report(capsys, ref, hyp)["systems"][0]["words"] == 4
    assert report(capsys, "--lines", "--normalise", "none", ref, hyp)["systems"][0]["words"] == 6
    ref, hyp = files(ref="hello there\n\ngood day\n", hyp="hello there\noh\ngood day\n")
    found = report(capsys, ref, hyp)["systems"][0]
    assert (found["words"], found["inserted"]) == (4, 25)


def test_results_in_sub_folders_are_told_apart(tmp_path):
    for place, text in (("one/a.txt", "first"), ("two/a.txt", "second"), ("two/b.flac.txt", "third")):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    results = read_texts(tmp_path)
    assert [(r.name, r.text) for r in results] == [("one/a", "first"), ("two/a", "second"), ("two/b.flac", "third")]
    said = [Text(f"/data/{name}", "") for name in ("two/b.flac", "two/a.wav", "one/a.wav")]
    assert match(said, results) == {0: 2, 1: 1, 2: 0}


def test_a_manifest_against_the_json_of_transcribe_and_its_folder_of_texts(files, capsys, tmp_path):
    rows = [json.loads(line) for line in CLIPS.read_text().splitlines()]
    said = [{"file": f"/some/where/{r['audio_filepath']}", "text": "$5", "spoken": r["raw_text"]} for r in rows]
    said[0]["spoken"] = said[0]["spoken"].replace("part", "heart")
    [hyp] = files(hyp="".join(json.dumps(r) + "\n" for r in said))
    found = report(capsys, str(CLIPS), hyp)["systems"][0]
    assert found["substituted"] * found["words"] == pytest.approx(100) and len(found["speaker"]) == 4
    assert report(capsys, str(CLIPS), hyp, "--normalise", "none")["systems"][0]["wer"] > found["wer"]
    (tmp_path / "texts").mkdir()
    for row in said:
        (tmp_path / "texts" / f"{Path(row['file']).stem}.txt").write_text(row["spoken"].replace(" ", "\n", 1))
    assert report(capsys, str(CLIPS), str(tmp_path / "texts"))["systems"][0]["wer"] == found["wer"]


def test_what_is_missing_is_said_and_can_be_counted_or_left_out(files, capsys):
    ref, hyp = files(ref="u1 the cat\nu2 a mat\n", hyp="u1 the cat\nu3 no\n")
    assert main(["score", ref, hyp]) == 2
    assert "lacks 1 of the reference's 2 utterances, u2: say `--missing empty`" in capsys.readouterr().err
    assert report(capsys, ref, hyp, "--missing", "empty")["systems"][0]["deleted"] == 50
    assert report(capsys, ref, hyp, "--missing", "skip")["systems"][0]["wer"] == 0
    main(["score", ref, hyp, "--missing", "skip"])
    assert "1 utterances of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reference", "hypothesis", "said"),
    [
        ("u1 a b\n", "one line\n", "one side has names"),
        ("a b\nc\n", "a b\n", "correspond line by line"),
        ("", "a\n", "is empty"),
        ('{"text": "a"}\n', "a\n", "needs an object with `text`"),
        ('{"id": "x", "text": "a"}\n' * 2, '{"id": "x", "text": "a"}\n', "x stands twice"),
        ("u1 a\n", "v1 a\n", "their names differ"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(files, capsys, reference, hypothesis, said):
    ref, hyp = files(ref=reference, hyp=hypothesis)
    assert main(["score", "--missing", "empty", ref, hyp]) == 2
    told = capsys.readouterr().err
    assert said in told.splitlines()[-1] and told.splitlines()[-1].startswith("error: ")
    assert main(["score", "nowhere", hyp]) == 2


def test_a_single_number_is_a_text_and_no_id(files, capsys):
    ref, hyp = files(ref="20\n", hyp="30\n")
    assert report(capsys, ref, hyp)["systems"][0]["wer"] == 100
    ref, hyp = files(ref="20 cats\n", hyp="30 cats\n")
    assert main(["score", ref, hyp]) == 2 and "--lines" in capsys.readouterr().err


def test_numbers_and_other_scripts_count_as_words_and_it_is_said(files, capsys):
    ref, hyp = files(ref="20\nпривет\n", hyp="30\nпривет\n")
    assert main(["score", "--format", "json", ref, hyp]) == 0
    shown = capsys.readouterr()
    [found] = json.loads(shown.out)["systems"]
    assert (found["words"], found["substituted"]) == (2, 50)
    assert f"2 words of {ref} have digits or letters beside a-z and are compared as they are written" in shown.err
    ref, hyp = files(ref="...\n-\n", hyp="a\nb\n")
    assert main(["score", ref, hyp]) == 2
    assert "holds a word: there is nothing to compare" in capsys.readouterr().err


def test_parts_of_one_file_are_told_apart(files, capsys):
    rows = [
        {"audio_filepath": "a.wav", "offset": t, "duration": 1, "text": text} for t, text in ((0, "one"), (1, "two"))
    ]
    ref, hyp = files(ref="\n".join(map(json.dumps, rows)), hyp="\n".join(map(json.dumps, rows[::-1])))
    assert report(capsys, ref, hyp)["systems"][0]["wer"] == 0


def test_names_are_told_apart_by_as_much_of_their_paths_as_it_takes():
    ours = [Text("a/1.wav", ""), Text("b/1.wav", ""), Text("b/2.wav", "")]
    theirs = [Text("/data/b/1.opus", ""), Text("/data/a/1.opus", "")]
    assert match(ours, theirs) == {0: 1, 1: 0}
    with pytest.raises(ScoreError):
        match(ours, [Text("x/1", ""), Text("x/1", "")])


def test_two_systems_and_what_is_shown(files, capsys):
    lines = [f"u{i} the cat sat on mat number nine" for i in range(30)]
    ref, good, bad = files(
        ref="\n".join(lines), good="\n".join(lines[:29] + ["u29 the cat"]),
        bad="\n".join(line.replace("cat", "bat") for line in lines),
    )  # fmt: skip
    assert main(["score", ref, bad, good, "--colour"]) == 0
    shown = capsys.readouterr().out
    assert "B is better than A with more than 99.9 %" in shown and "\x1b[31m" in shown
    assert main(["score", ref, bad]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[" not in shown and "CAT" in shown and shown.count("  heard  ") == 5
    assert any(line.split() == ["30", "cat", "→", "bat"] for line in shown.splitlines())
    main(["score", ref, good, good])
    assert "the same number of errors everywhere" in capsys.readouterr().out


def test_whisper_normalisation(files, capsys):
    ref, hyp = files(ref="u1 Mr. Brown's colour is 21\n", hyp="u1 mister brown's color is twenty-one\n")
    try:
        import whisper_normalizer  # noqa: F401
    except ImportError:
        assert main(["score", ref, hyp, "--normalise", "whisper"]) == 2
        assert "pip install 'asr[score]'" in capsys.readouterr().err
    else:
        assert report(capsys, ref, hyp, "--normalise", "whisper")["systems"][0]["wer"] == 0


def test_a_reference_may_be_a_corpus_with_its_audio(tmp_path, files):
    assert [t.corpus for t in read_texts(CLIPS)] == ["commonvoice"] * 3 + ["ljspeech"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoreError, match="holds no transcripts"):
        read_texts(tmp_path / "empty")
