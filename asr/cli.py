"""The command `asr`."""

from __future__ import annotations

import argparse
import os
import sys

from asr import __version__
from asr.commands.align import add_align
from asr.commands.attention import add_attention
from asr.commands.data import add_data
from asr.commands.export import add_export
from asr.commands.finetune import add_finetune
from asr.commands.listen import add_listen
from asr.commands.lm import add_lm
from asr.commands.say_how import add_say_how
from asr.commands.score import add_score
from asr.commands.terminal import fail, say
from asr.commands.train import add_train
from asr.commands.transcribe import add_transcribe
from asr.errors import Error
from asr.serve.command import add_serve

COMMANDS = {  # name: what it does, and what adds its options; their modules import torch only when they run
    "transcribe": ("write what is said in audio files", add_transcribe),
    "listen": ("write what is said into a microphone", add_listen),
    "serve": ("transcribe for other programs: HTTP, WebSocket, Wyoming, a page", add_serve),
    "train": ("make an acoustic model from recordings and their texts", add_train),
    "finetune": ("teach a model a voice, a microphone, a vocabulary", add_finetune),
    "data": ("check a corpus before a model is trained on it", add_data),
    "score": ("compare transcripts with what was said: error rates, alignments, a test of two systems", add_score),
    "export": ("write a model for machines without torch", add_export),
    "align": ("find when each word of a known text was said", add_align),
    "say-how": ("show how words will be pronounced", add_say_how),
    "lm": ("train language models, score sentences, make some up", add_lm),
    "attention": ("spell a recording with the attention decoder, and draw where it looked", add_attention),
}


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except Error as error:
        return fail(str(error))
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return fail("this needs torch, which is not installed: pip install 'asr[train]'")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="asr", description="Speech recognition without a cloud.")
    top.add_argument("--version", action="version", version=f"asr {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (purpose, add_options) in COMMANDS.items():
        add_options(commands.add_parser(name, help=purpose))
    return top


if __name__ == "__main__":
    sys.exit(main())
