"""The command `asr`."""

from __future__ import annotations

import sys

from asr.commands import entry

COMMANDS = {  # name: what it does, and what adds its options, imported when the command is chosen
    "transcribe": ("write what is said in audio files", "asr.commands.transcribe:add_transcribe"),
    "listen": ("write what is said into a microphone", "asr.commands.listen:add_listen"),
    "serve": ("transcribe for other programs: HTTP, WebSocket, Wyoming, a page", "asr.serve.command:add_serve"),
    "train": ("make an acoustic model from recordings and their texts", "asr.commands.train:add_train"),
    "finetune": ("teach a model a voice, a microphone, a vocabulary", "asr.commands.train:add_finetune"),
    "data": ("check a corpus before a model is trained on it", "asr.commands.data:add_data"),
    "score": ("compare transcripts with what was said: error rates, alignments, a test of two systems",
              "asr.commands.score:add_score"),
    "write": ("write words as people do: marks, capitals, figures", "asr.commands.write:add_write"),
    "export": ("write a model as ONNX graphs, for other programs", "asr.commands.export:add_export"),
    "align": ("find when each word of a known text was said", "asr.commands.align:add_align"),
    "say-how": ("show how words will be pronounced", "asr.commands.terminal:add_say_how"),
    "lm": ("train language models, score sentences, make some up", "asr.commands.lm:add_lm"),
    "picture": ("draw what the model hears", "asr.commands.picture:add_picture"),
    "attention": ("spell a recording with the attention decoder, and draw where it looked",
                  "asr.commands.attention:add_attention"),
}  # fmt: skip


def parser() -> entry.CommandParser:
    return entry.command_parser("asr", "Speech recognition without a cloud.", COMMANDS)


def main(arguments: list[str] | None = None) -> int:
    return entry.run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
