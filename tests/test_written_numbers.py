"""Numbers in figures: the reader, the detector, the symbols, and that a lying model writes no wrong number."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.attention.seq2seq import Output
from asr.cli import main
from asr.errors import UsageError
from asr.written.known import CODES, clock, joined
from asr.written.numbers import NumberWriter, text_of
from asr.written.reading import read
from asr.written.stretches import CARDINAL_WORDS, CLOSED, LONGEST, MONTHS, ONES, TEENS, stretches

RIGHT = """
May 3rd, 2021 | may third twenty twenty one
3 May 2021 | the third of may two thousand and twenty one
$25.50 | twenty five dollars and fifty cents
$2.5 million | two and a half million dollars
7:30 p.m. | half past seven p m
8:45 | a quarter to nine
December 2001 | december two thousand and one
5 kg | five kilograms
-5°C | minus five degrees celsius
21st century | twenty first century
1980s | nineteen eighties
555-1234 | five five five twelve thirty four
1-800-555-1234 | one eight hundred triple five one two three four
BBC | b b c
MP3 | m p three
john.smith@example.com | john dot smith at example dot com
3.1405 | three point one four oh five
7/16 | seven sixteenths
1,234,567 | one million two hundred thirty four thousand five hundred and sixty seven
1250 | twelve fifty
10 to 20 | ten to twenty
£5.50 | five pounds fifty
123 | one twenty three
1234 | one two three four
3.12 | three point one two
"""
WRONG = """
20 2 | twenty two
202 | twenty two
100 5 | one hundred five
100 and 5 | one hundred and five
3 0.5 | three point five
5 2 | five two
2,000 25 | two thousand twenty five
22th | twenty second
May 3 2 | may thirty two
20 million | twenty two million
27 96 | twenty seven ninety six
7677 | seventy six seventy seven
82.2210 | eighty two point two twenty one zero
one 62 | one sixty two
23 | two three
567 | five six seven
247 | twenty four seven
8020 | eighty twenty
8:45 | quarter past nine
05 | five
"""
FOUND = [
    (
        "on may third twenty twenty one we paid twenty five dollars",
        ["may third twenty twenty one", "twenty five dollars"],
    ),
    ("meet at a quarter to nine or ten to nine", ["a quarter to nine", "ten to nine"]),
    ("mail john dot smith at example dot com please", ["john dot smith at example dot com"]),
    ("see w w w dot b b c dot co dot uk slash news now", ["w w w dot b b c dot co dot uk slash news"]),
    ("the b b c and the u s a man", ["b b c", "u s a"]),
    ("may i say that the point of no return is past", []),
    ("the dot on the i is a dot", []),
]


def pairs(table: str) -> list[tuple[str, list[str]]]:
    return [(text.strip(), words.split()) for text, words in (row.split("|") for row in table.strip().splitlines())]


@pytest.mark.parametrize("text, words", pairs(RIGHT))
def test_a_text_is_read_back(text, words):
    assert (pieces := read(text, words)) and " ".join(piece.text for piece in pieces) == text
    assert pieces[0].first == 0 and pieces[-1].last == len(words)


@pytest.mark.parametrize("text, words", pairs(WRONG))
def test_another_number_is_not_read(text, words):
    assert not any(piece.kind != "word" for piece in read(text, words) or [])


@pytest.mark.parametrize("text, expected", FOUND)
def test_stretches_are_found(text, expected):
    words = text.split()
    assert [" ".join(words[a:b]) for a, b in stretches(words)] == expected


@given(st.lists(st.sampled_from(sorted(CLOSED) + ["smith", "com", "Ünï", "", "日本", "4"]), max_size=60))
def test_stretches_stand_in_order_and_are_not_too_long(words):
    ends = [end for stretch in stretches(words) for end in stretch]
    assert ends == sorted(ends) and all(0 < b - a <= LONGEST for a, b in zip(ends[::2], ends[1::2]))


def test_what_the_recipe_draws_is_found_read_and_written_in_symbols():
    pytest.importorskip("num2words")
    from recipes.written_form import draw
    from recipes.written_form.prepare import target

    rng = Random(3)
    for kind, one in draw.KINDS.items():
        for _ in range(15):
            item = one(rng)
            words = item.spoken.split()
            for dates in ("said", "us", "uk"):
                text = item.written(dates)
                assert read(text, words), (kind, item)
                assert text_of(target(text, words), words) == text


class Liar:
    """Writes texts of digits, months and marks that have little to do with the words."""

    class source:
        symbols = sorted(CLOSED)

    def __init__(self, texts):
        self.texts = texts

    def __call__(self, text, options, n_best=1):
        words = text.split()[text.split().index("<") + 1 : text.split().index(">")]
        texts = [list(t) for t in self.texts] + [["="], [w for word in words for w in (word, "_")][:-1]]
        return [Output("", 0.0, 0.0, [*t, ""], [], np.zeros((1, 1))) for t in texts[:n_best]]


def writer(texts, **options) -> NumberWriter:
    made = NumberWriter(**options)
    made.__dict__["model"] = Liar(texts)
    return made


numbers = st.sampled_from([*sorted(CARDINAL_WORDS), "and", "point", "may", "third", "dollars", "p", "m", "of", "house"])
lies = st.lists(
    st.lists(st.sampled_from([*"0123456789,.:$_-", *MONTHS, "rd", "p.m.", "house"]), max_size=12), max_size=4
)


@settings(deadline=None)
@given(
    st.lists(numbers, max_size=20), lies, st.sampled_from(["said", "us", "uk"]), st.sampled_from(["always", "large"])
)
def test_whatever_the_model_writes_the_words_can_be_read_back(words, texts, dates, how):
    at = 0
    for span in writer(texts, dates=dates, numbers=how).spans(words):
        assert at <= span.first < span.last <= len(words) and read(span.text, words[span.first : span.last])
        at = span.last


def test_numbers_below_ten_stay_words_where_nothing_is_counted():
    assert [s.text for s in writer([["2", "_", "to", "_", "3"]]).spans("two to three".split())] == []
    assert [s.text for s in writer([["2", "_", "to", "_", "3"]], numbers="always").spans("two to three".split())] == [
        "2",
        "3",
    ]
    assert [s.text for s in writer([["2", "_", "to", "_", "1", "3"]]).spans("two to thirteen".split())] == ["2", "13"]
    assert [s.text for s in writer([["4", "5"]]).spans(["forty", "five"])] == ["45"]
    assert writer([], numbers="never").spans(["twenty"]) == []


@given(
    st.sampled_from(["half", "quarter", "a quarter", "five minutes", "twenty five minutes", "one minute"]),
    st.sampled_from(["past", "after", "to", "till", "before"]),
    st.integers(1, 12),
    st.sampled_from(["", " p m"]),
)
def test_a_time_by_rule_is_read_back(minutes, way, hour, half):
    words = f"{minutes} {way} {(ONES + TEENS)[hour]}{half}".split()
    time = clock(words)
    assert (time is None) == (minutes == "half" and way != "past")
    if time:
        assert [piece.kind for piece in read(time, words) or []] == ["time"]


@pytest.mark.parametrize("words", ["ten to twelve", "five past thirteen", "forty minutes past two", "house to three"])
def test_what_is_no_time_for_sure_is_none(words):
    assert clock(words.split()) is None


def test_known_codes_are_read_back():
    for words, code in CODES.items():
        pieces = read(code, words.split())
        assert pieces and {piece.kind for piece in pieces} == {"letters"}


@pytest.mark.parametrize("text, expected", [
    ("s CHD", "SCHD"), ("the v ASC x y", "the VASCXY"), ("HSIB a", "HSIB a"), ("x 5 km", "x 5 km"), ("a BBC", "a BBC"),
])  # fmt: skip
def test_a_letter_left_alone_joins_the_others(text, expected):
    assert joined(text) == expected


def test_a_long_run_of_numbers_stays_and_costs_little():
    assert writer([]).spans(["one"] * 10_000) == []
    with pytest.raises(UsageError, match="dates"):
        NumberWriter(dates="de")


WRITTEN = {
    "on may third twenty twenty one we paid twenty five dollars": "on May 3rd, 2021 we paid $25",
    "one of them came first": "one of them came first",
    "half past seven in the evening on the twenty first of june": "7:30 in the evening on the 21st of June",
    "about two million people and five kilograms of rice": "about 2 million people and 5 kg of rice",
    "prices rose by two point five percent in nineteen eighty four": "prices rose by 2.5% in 1984",
    "write to john dot smith at example dot com": "write to john.smith@example.com",
    "mary underscore smith at example dot com": "mary_smith@example.com",
    "the b b c said so": "the BBC said so",
    "she joined s c h d and ask k nine about five g": "she joined SCHD and ask K9 about 5G",
    "take bus seven forty two at seven forty two": "take bus 742 at 7:42",
    "the ten thirty train from ten thirty on": "the ten thirty train from 10:30 on",
    "before twelve oh four in twelve oh four": "before twelve oh four in 1204",
    "at five minutes to three or at half past one": "at 2:55 or at 1:30",
    "my card is " + "four two " * 8: "my card is 4242424242424242",
    "in two three weeks twenty four seven": "in two three weeks twenty four seven",
    "two quadrillion fifty billion and twenty one crore": "two quadrillion fifty billion and twenty one crore",
    "four four four " * 20: "four four four " * 20,
    "": "",
}


@pytest.mark.parametrize("words, expected", WRITTEN.items())
def test_the_packaged_model_writes(words, expected):
    words, at, out = words.split(), 0, []
    for span in NumberWriter().spans(words):
        out += [*words[at : span.first], span.text]
        at = span.last
    assert " ".join([*out, *words[at:]]) == expected.strip()


def test_the_map_shows_where_the_model_looked():
    (seen,) = NumberWriter(dates="us").maps("the third of may".split())
    assert seen.text == "May 3" and seen.weights.shape == (len(seen.pieces), len(seen.words))
    assert seen.words[seen.weights[seen.pieces.index("May")].argmax()] == "may"
    assert len(str(seen).splitlines()) == len(seen.pieces) + 1


def test_asr_write_shows_the_map(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("on the third of may\n")
    assert main(["write", "--show-attention", str(tmp_path / "a.txt")]) == 0
    out, err = capsys.readouterr()
    assert "3rd of May" in out and "< the third of may >" in err and "(end)" in err
