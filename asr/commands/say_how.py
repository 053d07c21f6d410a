"""The command `asr say-how`: how hotwords, commands and wake words will be pronounced."""

from __future__ import annotations

import argparse


def add_say_how(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Show how words will be pronounced as hotwords, commands and wake words: a line for each way that is tried, "
        "with its phonemes (those of CMUdict) and where they come from. A way that you miss goes into a lexicon of "
        "your own, lines of a word, a tab and phonemes, for --lexicon."
    )
    p.add_argument("words", nargs="+", metavar="WORD", help="word or phrase, as it is spoken")
    p.add_argument("--lexicon", metavar="FILE", help="pronunciations of your own")
    p.set_defaults(run=say_how)


def say_how(options: argparse.Namespace) -> int:
    from asr.search.hotwords import spelt
    from asr.search.lexicon import Lexicon, packaged

    own = Lexicon.read(options.lexicon) if options.lexicon else Lexicon()
    words = [word for text in options.words for word in spelt(text, repr(text)).split()]
    lexicon = packaged().overridden(own)
    for word in words:
        for way, source in lexicon.explained(word):
            print(f"{word}\t{way}\t{'your lexicon' if word in own else source}")
    return 0
