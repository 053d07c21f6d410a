"""The plan of the house: rooms stand in one line, and no import goes back up it."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = [  # a folder or a file at the top of its package; each imports only from those before it
    *"asr.errors asr.text asr.files asr.native asr.numpy_gru asr.score asr.transcript".split(),
    *"asr.audio asr.model asr.language asr.search asr.align asr.attention asr.written".split(),
    *"asr.recognizer asr.live asr.training asr.commands asr.serve asr.cli".split(),
    *"wakeword.phrase wakeword.network wakeword.phonemes wakeword.detector".split(),
    *"wakeword.scoring wakeword.spotter wakeword.several wakeword.listen wakeword.voices wakeword.synthesis".split(),
    *"wakeword.train wakeword.evaluate wakeword.export".split(),
    *"wakeword.cli_listen wakeword.cli_train wakeword.cli recipes benchmarks".split(),
]
FRONTS = {
    "asr",
    "wakeword",
}  # they import their public names when these are asked for, and anyone may ask their version
UPWARDS: dict[tuple[str, str], str] = {}  # known offenders: (who, whom), and what mends it
CIRCLES: dict[frozenset[str], str] = {}  # known offenders, and what mends them


@cache
def imports() -> dict[str, set[str]]:
    """Each module of the house and which of them it imports, wherever in its file; types count as well."""
    files = [f for package in (*sorted(FRONTS), "recipes", "benchmarks") for f in (ROOT / package).rglob("*.py")]
    modules = {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}
    return {name: set(_imported(file, set(modules))) - {name} for name, file in modules.items()}


def _imported(file: Path, modules: set[str]):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            for alias in node.names:
                yield from {f"{node.module}.{alias.name}", f"{node.module}"} & modules


def room(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] in ("recipes", "benchmarks") else ".".join(parts[:2])


def test_every_file_has_its_room():
    rooms = {room(module) for module in imports()} - FRONTS
    assert rooms == set(ROOMS) and len(ROOMS) == len(rooms)


def test_imports_go_one_way_along_the_line():
    upwards = {
        (who, whom)
        for who, those in imports().items()
        for whom in those
        if not {who, whom} & FRONTS and ROOMS.index(room(whom)) > ROOMS.index(room(who))
    }
    assert upwards == set(UPWARDS)


def test_imports_lead_to_files_that_are_there():
    """mypy takes a module that is not there for a library without types."""
    ours = (*sorted(FRONTS), "recipes", "benchmarks")
    imported = re.compile(rf"^ *(?:from|import) ((?:{'|'.join(ours)})\b[\w.]*)", re.MULTILINE)
    for file in (f for folder in (*ours, "tests", "docs") for f in (ROOT / folder).rglob("*.py")):
        for name in imported.findall(file.read_text("utf-8")):
            path = ROOT / name.replace(".", "/")
            there = path.is_dir() or any(path.with_suffix(end).is_file() for end in (".py", ".pyi"))
            assert there, f"{file} imports {name}"


def test_files_are_short():
    """At most 300 lines each. Two are still longer."""
    files = [f for package in (*sorted(FRONTS), "recipes", "benchmarks") for f in (ROOT / package).rglob("*.py")]
    long = {str(f.relative_to(ROOT)) for f in files if f.read_text("utf-8").count("\n") > 300}
    assert long <= {"wakeword/phonemes.py"}


def test_asr_imports_nothing_of_wakeword_and_the_packages_nothing_of_recipes():
    for who, those in imports().items():
        allowed = {"asr": {"asr"}, "wakeword": {"asr", "wakeword"}}.get(who.split(".")[0])
        assert not allowed or {whom.split(".")[0] for whom in those} <= allowed, who


def test_no_files_import_each_other_in_a_circle():
    """A module is in a circle with all that it reaches and that reach it; a room's front is a file as any other."""
    graph = {
        who: {whom for whom in those if whom not in FRONTS} for who, those in imports().items() if who not in FRONTS
    }
    graph = {who: {whom for whom in those if (who, whom) not in UPWARDS} for who, those in graph.items()}
    reached = {who: _reach(who, graph) for who in graph}
    circles = {frozenset(whom for whom in reached[who] if who in reached[whom]) for who in graph}
    assert circles - {frozenset()} == set(CIRCLES)


def _reach(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def test_compiled_parts_name_all_that_they_include():
    """Else an sdist lacks a header, and a change of it builds nothing anew."""

    def included(name: str) -> set[str]:
        found = set(re.findall(r'#include "(\w+\.h)"', (ROOT / "asr" / "native" / name).read_text("utf-8")))
        return found.union(*map(included, found))

    for part in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["ext-modules"]:
        assert {Path(name).name for name in part["depends"]} == included(Path(part["sources"][0]).name), part["name"]
