"""Words as said to written text: the tagger, the writer, segments, streams, the command."""

import io
import json
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr.cli import main
from asr.text import normalise
from asr.transcript import Segment, Word
from asr.written.numbers import NumberWriter, Span
from asr.written.reading import read
from asr.written.tagger import (
    AHEAD,
    CAPITAL,
    CASES,
    CHUNK,
    COMMA,
    LOWER,
    MARKS,
    MIXED,
    NONE,
    PAUSES,
    PERIOD,
    QUESTION,
    UPPER,
    Tagger,
    Vocabulary,
    in_case,
    pause_class,
)
from asr.written.writer import Writer, pauses_of

SAID = "well we met doctor o'brien at nasa in june did he bring his iphone yes he did".split()
WEIGHTS = {"forwards": (8, 12), "backwards": (8, 6), "above": (18, 10)}  # inputs and outputs of each layer


def tiny(seed: int) -> Tagger:
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(size=shape) for name, shape in (
        ("end", (8,)), ("pauses.weight", (PAUSES, 8)), ("out.weight", (len(MARKS) + CASES, 28)), ("out.bias", (8,)),
    )}  # fmt: skip
    for name, (given_size, size) in WEIGHTS.items():
        shapes = {"weight_ih": (3 * size, given_size), "weight_hh": (3 * size, size), "bias_ih": 3 * size}
        weights |= {
            f"{name}.{key}_l0": rng.normal(size=shape) for key, shape in (shapes | {"bias_hh": 3 * size}).items()
        }
    for table, rows in (("words", 5), ("pieces", 50)):
        weights[f"{table}.weight"] = rng.integers(-127, 128, (rows, 8)).astype(np.int8)
        weights[f"{table}.scale"] = np.full((rows, 1), 0.01)
    return Tagger(weights, Vocabulary(["well", "we", "he", "did"], 50), {"iphone": "iPhone"})


class Told(Tagger):
    """A tagger that is told what to find: (mark, case) of words by their text."""

    def __init__(self, known):
        self.known, self.mixed = known, {"iphone": "iPhone"}

    def start(self):
        return ()

    def feed(self, words, pauses, state, last=False):
        words = [*state, *words]
        settled = len(words) if last else max(0, (len(words) - AHEAD) // CHUNK * CHUNK)
        logits = np.zeros((settled, len(MARKS) + CASES), np.float32)
        for row, word in zip(logits, words):
            mark, case = self.known.get(word, (NONE, LOWER))
            row[mark] = row[len(MARKS) + case] = 1
        return logits, tuple(words[settled:])


class Figures(NumberWriter):
    def __init__(self, found):
        self.found = found  # tuples of words, and how they are written

    def spans(self, words):
        return [Span(i, i + len(said), text) for said, text in self.found.items() for i in range(len(words))
                if tuple(words[i : i + len(said)]) == said]  # fmt: skip


DOCTOR = Told({
    "well": (COMMA, LOWER), "doctor": (NONE, CAPITAL), "o'brien": (NONE, CAPITAL), "nasa": (NONE, UPPER),
    "june": (PERIOD, CAPITAL), "iphone": (QUESTION, MIXED), "yes": (COMMA, LOWER), "did": (PERIOD, LOWER),
})  # fmt: skip
NO_NUMBERS = Figures({})


def segment(words, start=0.0):
    pieces = tuple(Word(w, start + 0.5 * i, start + 0.5 * i + 0.4, 0.5 + i / 100) for i, w in enumerate(words))
    return Segment(pieces[0].start, pieces[-1].end, pieces)


# the tagger


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_any_cut_gives_the_same(sizes, seed):
    tagger, words = tiny(seed), SAID * 2
    pauses = ([None, 0.0, 0.4, 5.0] * 9)[: len(words)]
    whole, _ = tagger.feed(words, pauses, tagger.start(), last=True)
    state, found, at = tagger.start(), [], 0
    for size in [*sizes, len(words)]:
        logits, state = tagger.feed(words[at : at + size], pauses[at : at + size], state, last=at + size >= len(words))
        found.append(logits)
        at = min(at + size, len(words))
        waiting = at - sum(map(len, found))
        assert waiting < CHUNK + AHEAD <= 9, "no word waits for more than eight"
    assert np.abs(np.concatenate(found)[: len(words)] - whole).max() < 1e-4 and len(whole) == len(words)


def test_eight_words_to_come_and_no_more_are_looked_at():
    tagger, none = tiny(0), [None] * 12
    one, other = (tagger.feed([*"abcdefghi", *rest], none, tagger.start(), last=True)[0] for rest in ("jkl", "mno"))
    changed = np.abs(one - other).max(1) > 1e-6
    assert not changed[:4].any() and changed[4:].all()


def test_the_network_that_is_trained_is_the_tagger(tmp_path):
    torch = pytest.importorskip("torch")
    from asr.written.tagger import load
    from recipes.punctuation.batches import Texts
    from recipes.punctuation.network import TaggerNetwork, TaggerOptions
    from recipes.punctuation.train import package, unpacked

    options, vocabulary = TaggerOptions(8, 50, 12, 6, 10, dropout=0.0), Vocabulary(["well", "we"], 50)
    network = TaggerNetwork(options, 2)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(p.half().float())
        for table in (network.words, network.pieces):  # so that int8 is exact
            table.weight.copy_(torch.round(table.weight * 16).clamp(-126, 126) / 16)
            table.weight[:, 0] = 127 / 16
    path = tmp_path / "model.safetensors"
    package(network, vocabulary, {"iphone": "iPhone"}, {"updates": 3}, path)
    tagger, pauses = load(path), [None, 0.2, 2.0, None] * 4
    found, _ = tagger.feed(SAID[:16], pauses, tagger.start(), last=True)
    texts = Texts({}, SAID[:16], vocabulary, np.arange(16))
    row = np.arange(16), np.array(list(map(pause_class, pauses))), *np.zeros((3, 16), int)
    wanted = network(*texts.padded([row]).inputs)[:, 0].detach().numpy()
    assert np.abs(found - wanted).max() < 1e-3 and tagger.mixed == {"iphone": "iPhone"}
    again, words, mixed, card = unpacked(path)
    assert all(torch.equal(p, q) for p, q in zip(again.state_dict().values(), network.state_dict().values()))
    assert words.words == vocabulary.words and mixed == tagger.mixed and card == {"updates": 3}


def test_large_layers_are_packaged_as_int8(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors import safe_open

    from recipes.punctuation.network import TaggerNetwork, TaggerOptions
    from recipes.punctuation.train import package, unpacked

    network, name = TaggerNetwork(TaggerOptions(8, 50, 160, 6, 10), 2), "forwards.weight_hh_l0"
    package(network, Vocabulary(["well", "we"], 50), {}, {}, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert file.get_tensor(name).dtype == np.int8 and file.get_tensor("above.weight_hh_l0").dtype == np.float16
    found, wanted = (n.state_dict()[name] for n in (unpacked(tmp_path / "model.safetensors")[0], network))
    step = wanted.abs().amax(1, keepdim=True) / 127
    assert ((found - wanted).abs() <= 0.6 * step).all()  # half a step, and fp16 before it
    assert not torch.equal(found, wanted)


def test_pauses_have_classes():
    assert list(map(pause_class, (None, 0.0, 0.1, 0.5, 100.0))) == [0, 1, 2, 3, PAUSES - 1]


# the writer


def test_marks_and_capitals():
    assert Writer(DOCTOR, NO_NUMBERS).text(" ".join(SAID)) == (
        "Well, we met Doctor O'Brien at NASA in June. Did. He bring his iPhone? Yes, he did."
    )


@pytest.mark.parametrize("case, written", [(LOWER, "ios's"), (CAPITAL, "Ios's"), (UPPER, "IOS's"), (MIXED, "iOS's")])
def test_a_possessive_keeps_its_ending(case, written):
    assert in_case("ios's", case, {"ios": "iOS"}) == written


def test_numbers_stand_in_sentences():
    numbers = Figures({("five", "p", "m"): "5 p.m.", ("twenty", "one"): "21", ("may", "third"): "May 3rd"})
    writer = Writer(Told({"m": (PERIOD, LOWER), "third": (COMMA, CAPITAL), "twenty": (COMMA, LOWER)}), numbers)
    tokens = writer.write("at five p m twenty one came on may third too".split())
    assert [t.text for t in tokens] == ["At", "5 p.m.", "21", "came", "on", "May 3rd,", "too"]
    assert [(t.first, t.last) for t in tokens[:3]] == [(0, 1), (1, 4), (4, 6)]


def test_a_number_that_is_written_already_stays():
    writer = Writer(Told({}), Figures({("twenty", "one"): "21"}))
    assert writer.text("hear Twenty One pilots or TWENTY ONE of twenty one") == (
        "Hear Twenty One pilots or TWENTY ONE of 21"
    )


def test_between_a_weekday_and_its_date_stands_a_comma():
    spans = {("june", "fifth"): Span(0, 0, "June 5th", "date"), ("twenty", "one"): Span(0, 0, "21", "cardinal")}
    writer = Writer(Told({"tuesday": (PERIOD, CAPITAL), "fifth": (PERIOD, CAPITAL)}), Figures({}))
    writer.numbers.spans = lambda words: [
        Span(i, i + 2, span.text, span.kind)
        for said, span in spans.items() for i in range(len(words)) if tuple(words[i : i + 2]) == said
    ]  # fmt: skip
    assert writer.text("on tuesday june fifth") == "On Tuesday, June 5th."
    assert writer.text("on tuesday twenty one came") == "On Tuesday. 21 came"


def test_an_address_stays_in_small_letters_where_a_sentence_begins():
    writer = Writer(Told({}), Figures({("a", "at", "b"): "a@b.org", ("p", "point", "six"): "p.6"}))
    assert [writer.text(said) for said in ("a at b is mine", "p point six")] == ["a@b.org is mine", "p.6"]


def test_a_sentence_that_ends_in_a_number_with_a_pause_parts_it():
    numbers = Figures({("twenty", "one"): "21"})
    writer = Writer(Told({"twenty": (PERIOD, LOWER)}), numbers)
    assert [t.text for t in writer.write(["twenty", "one"], [1.0, None])] == ["Twenty.", "One"]
    assert [t.text for t in writer.write(["twenty", "one"], [0.0, None])] == ["21"]


def test_a_text_does_not_end_in_a_comma():
    assert Writer(DOCTOR, NO_NUMBERS).text("well") == "Well"


def test_what_is_not_as_the_recogniser_says_it_stays():
    text = "\u0000 Hello, TV   привет 🙂\x85Mr Smith's 3rd\tеж? did \n"
    assert Writer(DOCTOR, NO_NUMBERS).text(text) == text.replace("did", "Did.")


@given(st.text(alphabet="abcdefghi'AB.,!?1  \t\n\r\x1féж🙂", max_size=80), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_or_doubled(text, seed):
    writer = Writer(tiny(seed), NO_NUMBERS)
    written = writer.text(text)
    assert normalise(written) == normalise(text)
    assert [c for c in written if c.isspace()] == [c for c in text if c.isspace()]
    tokens = writer.write(text.split())
    assert [k for t in tokens for k in range(t.first, t.last)] == list(range(len(text.split())))


@pytest.fixture(scope="module")
def packaged():
    return Writer.load()


NUMBERS = "may third twenty one o two hundred and point five dollars p m percent half past at c n n double"


@given(st.lists(st.sampled_from([*NUMBERS.split(), "we", "smith", "paid"]), max_size=25))
@example("p point twenty".split())
@settings(max_examples=40, deadline=None)
def test_what_the_packaged_models_write_is_read_back_as_the_words_said(packaged, words):
    tokens = packaged.write(words)
    assert [k for t in tokens for k in range(t.first, t.last)] == list(range(len(words)))
    for text, first, last in tokens:
        said = words[first:last]
        forms = {text, text.rstrip(",?"), text.rstrip(",.?")}  # with its mark and without
        assert normalise(text) == " ".join(said) or any(read(form, said) for form in forms), (text, said)


def test_the_packaged_models_write_sentences(packaged):
    said = "how are you i am fine thank you on monday we paid twenty five dollars to doctor smith in london"
    assert packaged.text("how are you") == "How are you?" and packaged.text("turn on the light") == "Turn on the light."
    found = packaged.text(said)
    assert found.startswith("How are you? I am fine") and found.endswith("$25 to Doctor Smith in London.")


def test_write_shows_where_the_model_of_numbers_looked(packaged, monkeypatch, capsys):
    monkeypatch.setattr(Writer, "load", lambda *_: packaged)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"we paid twenty five dollars")))
    assert main(["write", "--show-attention"]) == 0
    out, err = capsys.readouterr()
    assert "$25" in out and "twenty five dollars" in err.splitlines()[0] and err.splitlines()[1].split()[0] == "$"


def test_ten_thousand_words_without_a_break():
    assert normalise(Writer(tiny(0), NO_NUMBERS).text("word " * 10_000)) == "word " * 9_999 + "word"


# segments and streams


def test_segments_are_written_with_what_stands_around_them():
    segments = [segment(SAID[:3]), segment(SAID[3:4], 5.0), segment(SAID[4:], 6.0)]
    found = list(Writer(DOCTOR, NO_NUMBERS).segments(segments))
    assert [s.text for s in found][:2] == ["Well, we met", "Doctor"] and [s.spoken for s in found][1:2] == ["doctor"]
    assert [(s.start, s.end, s.words) for s in found] == [(s.start, s.end, s.words) for s in segments]


def test_a_written_piece_has_the_times_of_its_words():
    [found] = Writer(Told({}), Figures({("twenty", "one"): "21"})).segments([segment(["at", "twenty", "one"], 3.0)])
    assert found.written == (Word("At", 3.0, 3.4, 0.5), Word("21", 3.5, 4.4, 0.51)) and found.spoken == "at twenty one"


def test_a_number_that_is_cut_stays_in_words():
    cut = [segment(["it", "was", "twenty"]), segment(["one", "twenty", "one"], 2.0)]
    found = Writer(Told({}), Figures({("twenty", "one"): "21"})).segments(cut)
    assert [s.text for s in found] == ["It was twenty", "one 21"]


def test_segments_are_given_as_soon_as_they_can_be():
    given_out = []

    def coming():
        for k in range(20):
            given_out.append(k)
            yield segment(["word"] * 5, 3.0 * k)

    for number, _ in enumerate(Writer(DOCTOR, NO_NUMBERS).segments(coming())):
        assert len(given_out) <= number + 4


def test_pauses_reach_into_the_next_segment():
    first = segment(["one", "two"])
    assert pauses_of(first, segment(["three"], 2.0)) == pytest.approx([0.1, 1.1]) and pauses_of(first)[-1] is None


def test_a_live_sentence_goes_on_from_the_one_before():
    writer = Writer(Told({"june": (PERIOD, CAPITAL)}), NO_NUMBERS)
    first, context = writer.utterance(segment(["in", "june"]), 0.6, writer.start())
    second, context = writer.utterance(segment(["he", "and"]), None, context)
    third, _ = writer.utterance(segment(["she", "too"]), None, context)
    assert [s.text for s in (first, second, third)] == ["In June.", "He and", "she too"]


# asr write


@pytest.fixture
def written(monkeypatch, capsys):
    monkeypatch.setattr(Writer, "load", lambda *_: Writer(DOCTOR, NO_NUMBERS))

    def run(text: str, *options: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["write", *options]) == 0
        return capsys.readouterr().out

    return run


def test_write_takes_lines(written):
    assert written("yes he did\n\n{well\nwell he did") == "Yes, he did.\n\n{well\nWell, he did."


def test_write_takes_transcripts(written):
    word = {"start": 0.0, "end": 0.4, "confidence": 0.5}
    words = [{"text": "yes"} | word, {"text": "he"} | word, {"text": "did"} | word]
    row = {"start": 0.0, "end": 0.4, "text": "yes he did", "words": words, "confidence": 0.5}
    given_row = {"file": "a.wav", "text": "yes he did", "duration": 1.0, "segments": [row, {"words": []}]}
    found = json.loads(written(json.dumps(given_row)))
    assert found["text"] == "Yes, he did." and found["spoken"] == "yes he did" and found["file"] == "a.wav"
    assert found["segments"][0]["words"] == words and found["segments"][0]["written"][2]["text"] == "did."


@pytest.mark.parametrize("content, complaint", [
    (b"\xff\xfe\n", "line 1, is not UTF-8 text"), (b'{"segments": [{"words": [{"text": 1}]}]}', "a transcript needs"),
])  # fmt: skip
def test_write_says_what_is_wrong(written, tmp_path, capsys, content, complaint):
    (tmp_path / "a").write_bytes(content)
    assert main(["write", str(tmp_path / "a")]) != 0 and complaint in capsys.readouterr().err
    assert main(["write", str(tmp_path / "none")]) != 0 and "cannot read" in capsys.readouterr().err
