"""What `import asr` and `import wakeword` give is documented: every public name, with shapes and errors."""

import dataclasses
import inspect
import re
import runpy
from pathlib import Path

import pytest

import asr
import wakeword

ROOT = Path(__file__).parent.parent
NAMES = [(package, name) for package in (asr, wakeword) for name in package.__all__]


def members(thing: object):
    """The name itself, and the public methods and properties that a class adds."""
    yield thing
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                yield member


@pytest.mark.parametrize("package, name", NAMES, ids=lambda value: getattr(value, "__name__", value))
def test_every_public_name_has_a_docstring_with_shapes_and_errors(package, name):
    thing = getattr(package, name)
    for member in members(thing):
        text = inspect.getdoc(member) or ""
        if not text and inspect.isfunction(member):  # of a method that says no more than that of its base
            text = inspect.getdoc(getattr(thing, member.__name__)) or ""
        where = f"{package.__name__}.{name}: {member}"
        assert text and not text.startswith(f"{name}("), where  # dataclasses make up a text of that kind
        source = inspect.getsource(member) if inspect.isfunction(member) else ""
        if re.search(r"(samples|blocks?|frames|stream): [^,)]*ndarray", source):
            assert re.search(r"\((n|m|T)[ ,)]|block of each", text), f"{where} tells no shape"
        if re.search(r"^ +raise \w*Error", source, re.MULTILINE):
            assert "Raises" in text, f"{where} tells no error"
    if dataclasses.is_dataclass(thing):
        source = inspect.getsource(thing)
        assert all(re.search(rf"(#.*\n *|\n *){f.name}:", source) for f in dataclasses.fields(thing))


def test_the_pages_are_built(tmp_path):
    pytest.importorskip("pdoc", reason="needs the extra `docs`")
    runpy.run_path(str(ROOT / "docs/api.py"))["write"](tmp_path)
    page = (tmp_path / "asr.html").read_text()
    assert "What is said in a file" in page and (tmp_path / "wakeword.html").exists()


def test_an_unknown_name_is_an_attribute_error():
    for package in (asr, wakeword):
        with pytest.raises(AttributeError, match="nothing"):
            package.nothing
