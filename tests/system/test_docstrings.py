"""The examples in the package's docstrings give what they say."""

import ast
import doctest
import warnings
from pathlib import Path

import pytest

import vecrecall as vr

FOLDER = Path(vr.__file__).parent
RUN = doctest.DocTestParser()


def _examples() -> list[tuple[str, doctest.DocTest]]:
    found = []
    for path in sorted(FOLDER.rglob("*.py")):
        module = path.relative_to(FOLDER).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                continue
            text = ast.get_docstring(node) or ""
            if ">>>" in text:
                name = f"{module}:{getattr(node, 'name', 'module')}"
                found.append((name, RUN.get_doctest(text, {}, name, str(path), 0)))
    return found


@pytest.mark.parametrize(("name", "example"), [pytest.param(*e, id=e[0]) for e in _examples()])
def test_example(
    name: str, example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert result.failed == 0, f"{name}\n{''.join(said)}"
