"""Every Python snippet of README, docs and recipes runs, those of a page one after the other in one interpreter.

Commands in shell snippets and in the recipes' scripts are not run, but read by the program that they call, be it
`asr`, `wakeword`, a recipe or a benchmark. Options in the text are ones that some program has; scripts and targets of
make are there, links lead somewhere, and every packaged model has a card.
"""

import argparse
import configparser
import importlib
import io
import re
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loud import save_loud
from serving import pcm, running

from asr import audio, cli
from recipes.speech_commands.model import KeywordModel, save
from wakeword import cli as wakeword_cli

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "recipes/*", "benchmarks", "asr/models", "wakeword", "wakeword/*")
PAGES = [ROOT / "README.md", *sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md"))]
SCRIPTS = sorted(ROOT.glob("recipes/*/*.sh"))
WITH_PYTHON = [page for page in PAGES if "\n```python" in page.read_text("utf-8")]
PARSERS = {"asr": cli.parser, "wakeword": wakeword_cli.parser}
SERVER = "127.0.0.1:8765"  # that snippets ask
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OF_OTHERS = """--editable --extra-index-url --help --logdir --max-restarts --mic-command --name --nnodes --no-deps --now
    --nproc-per-node --nthreads --nworkers --rdzv-backend --rdzv-endpoint --snd-command --uri --user --userns --wake-uri
    --wake-word-name"""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
def test_snippets_run(page, tmp_path, monkeypatch):
    text = page.read_text("utf-8")
    if "from openai" in text:
        pytest.importorskip("openai")
    samples = audio.load(str(ROOT / "tests/data/independence.opus"))
    for file in ("talk.wav", "talk.mp3", "yes.wav"):
        soundfile.write(tmp_path / file, samples, 16_000)
    (tmp_path / "speech.raw").write_bytes(pcm(samples))
    save_loud(tmp_path / "hey-computer.safetensors")
    (tmp_path / "WORK").mkdir()
    save(KeywordModel(("yes", "no")), tmp_path / "WORK/keywords.safetensors", {})
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "snippets", "blocks": np.array_split(samples, 20)}
    snippets = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    asked = any(SERVER in snippet[1] for snippet in snippets)
    with running() if asked else nullcontext() as server:
        for snippet in snippets:
            line = text[: snippet.start()].count("\n") + 1
            code = snippet[1].replace(SERVER, f"127.0.0.1:{server.port}") if server else snippet[1]
            exec(compile("\n" * line + code, str(page), "exec"), names)


def calls(line: str):
    """The words of each command of a shell line."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    words.whitespace_split = True
    call: list[str] = []
    for word in [*words, ";"]:
        if not set(word) <= set("|&;<>"):
            call.append(word)
        elif call:
            yield call
            call = ["file"] if set(word) <= set("<>") else []


def ours(call: list[str]) -> tuple[str, list[str]] | None:
    """The program ("asr", "recipes.an4.evaluate") and its arguments, if it is one of ours."""
    if "-m" in call and call[0].split("/")[-1] in ("python", "torchrun"):
        call = [call[call.index("-m") + 1].removesuffix(".cli"), *call[call.index("-m") + 2 :]]
    return (call[0], call[1:]) if call[0] in PARSERS or call[0].startswith(("recipes.", "benchmarks.")) else None


def commands(text: str):
    """What is ours in a page's shell snippets, and the recipes and benchmarks that its text names with arguments."""
    for console, snippet in re.findall(r"^```(?:sh|(console))\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines = snippet.replace("\\\n", " ").splitlines()
        for line in [line[2:] for line in lines if line.startswith("$ ")] if console else lines:
            yield from filter(None, map(ours, calls(line)))
    for span in re.findall(r"`(python -m [^`\[]+)`", text):
        program, arguments = ours(shlex.split(span)) or ("", [])
        if arguments:
            yield program, arguments


def commands_of_script(text: str):
    """What is ours in a shell script: variables are their defaults, or 1; a function's first argument is a voice."""
    known = {"1": "flite"} | dict(re.findall(r"(\w+)=\$\{\d:-([^}]*)\}", text))
    text = text.replace("\\\n", " ").replace('"${launch[@]}"', "python")
    text = re.sub(r"\bxargs (?:-\S+ )*([^|;>\n]*)", r"\1 file", text)
    text = re.sub(r'"\$(@|\{@:\d\})"', "", re.sub(r"\$\([^()]*\)", "file", text))
    text = re.sub(r"\$\{[^}]*\}", "1", re.sub(r"\$(\w+)", lambda name: known.get(name[1], "1"), text))
    for line in re.findall(r"^(?!#)(?:.* )?((?:python|torchrun|asr|wakeword) .*)", text, re.MULTILINE):
        yield from filter(None, map(ours, calls(line)))


class Parsed(Exception):
    """Raised where a program would begin its work."""


def parse(program: str, arguments: list[str]) -> None:
    """As the program does it. Raises SystemExit where the arguments are not as it wants them."""

    def parse_args(parser, *given):
        parser.parse_known_args(*given)[1] and parser.error("unknown arguments")
        raise Parsed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Parsed):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        patch.setattr(sys, "argv", [program, *arguments])
        PARSERS[program]().parse_args(arguments) if program in PARSERS else importlib.import_module(program).main()


@pytest.mark.parametrize("page", [*PAGES, *SCRIPTS], ids=name)
def test_commands_are_as_their_programs_want_them(page):
    read = commands_of_script if page in SCRIPTS else commands
    found = list(read(page.read_text("utf-8")))
    assert found or page not in SCRIPTS
    for program, arguments in found:
        if program == "recipes.fetch":  # which has no parser
            continue
        try:
            parse(program, arguments)
        except SystemExit as stopped:
            assert not stopped.code, f"{program} {shlex.join(arguments)}"


def test_options_scripts_and_targets_exist():
    sources = [
        file.read_text("utf-8")
        for room in ("asr", "wakeword", "recipes", "benchmarks")
        for file in ROOT.glob(f"{room}/**/*.py")
    ] + [(ROOT / "tests" / tool).read_text("utf-8") for tool in ("fuzz.py", "kills.py")]
    known = {
        *OF_OTHERS.split(),
        *(option for source in sources for option in re.findall(r'"(--[a-z][a-z0-9-]*)"', source)),
    }
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in PAGES:
        text = page.read_text("utf-8")
        assert set(OPTION.findall(text)) <= known, name(page)
        assert set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE)) <= set(targets), name(page)
        for script in re.findall(r"(?:^|`)((?:recipes|asr|wakeword|benchmarks)/[a-z0-9_/]+\.\w+)", text, re.MULTILINE):
            assert (ROOT / script).exists(), f"{name(page)}: {script}"
        for module in re.findall(r"python -m ((?:recipes|benchmarks)\.[\w.]*\w)", text):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), f"{name(page)}: {module}"


def test_what_the_language_model_prints_is_what_the_guide_shows(capsys, monkeypatch):
    text = (ROOT / "docs/guide.md").read_text("utf-8")
    shown = re.findall(r"^\$ printf '(.*)' \| asr (lm score -)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert shown
    for given, arguments, printed in shown:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.replace("\\n", "\n").encode())))
        assert cli.main(arguments.split()) == 0 and capsys.readouterr().out == printed


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)", page.read_text("utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), f"{name(page)}: {target}"
        if heading and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)", file.read_text("utf-8"), re.MULTILINE)
            anchors = {"#" + re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
            assert heading in anchors, f"{name(page)}: {target}{heading}"


def test_every_packaged_model_has_a_card_with_its_licence():
    models = [m for folder in ("asr/models", "wakeword", "wakeword/*") for m in ROOT.glob(f"{folder}/*.safetensors")]
    for model in [*models, ROOT / "asr/models/english-lm.npz", ROOT / "asr/models/english-lexicon.npz"]:
        own, common = model.parent / f"{model.name.split('.')[0]}.md", model.parent / "README.md"
        card = (own if own.exists() else common).read_text("utf-8")
        assert model.name in card and re.search("licence", card, re.IGNORECASE), name(model)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse writes help in its own way in every version")
def test_the_page_of_options_is_what_the_programs_say(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    page = importlib.import_module("cli")
    assert page.PAGE.read_text("utf-8") == page.page(), "python docs/cli.py writes it anew"


def test_extras_are_named_in_one_way():
    """'.[train]' would put a copy in place of an editable install; where nothing is installed, only it will do."""
    extras = re.compile(r"(\w*)\.?\[([a-z,]+)\]'")
    known = set(extras_of_the_package())
    for page in [*PAGES, *ROOT.glob("recipes/*/README.md"), *ROOT.glob("asr/**/*.py"), *ROOT.glob("wakeword/**/*.py")]:
        for line in page.read_text("utf-8").splitlines():
            if "pip install" in line and (found := extras.search(line)) and page.name != "changelog.md":
                assert found[1] == "asr" or "/opt/asr" in line, (page, line)
                assert known.issuperset(found[2].split(",")), (page, line)


def extras_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    return setup["options.extras_require"]
