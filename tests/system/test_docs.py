"""The documentation: its examples print what they say, and it names all that is public."""

from __future__ import annotations

import doctest
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tool_modules import tool

import vecrecall as vr
import vecrecall.datasets
import vecrecall.train

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# A block may stand behind a comment that names the modules without which it is skipped.
BLOCK = re.compile(
    r"^(?:<!-- needs: (?P<needs>[\w, ]+) -->\n)?```(?P<kind>python|pycon)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """One block of code of a page, and where it begins."""

    kind: str
    code: str
    needs: list[str]
    line: int

    def missing(self) -> list[str]:
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


def blocks_of(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        needs = re.findall(r"\w+", found["needs"] or "")
        yield Block(found["kind"], found["code"], needs, text.count("\n", 0, found.start("code")))


def run(block: Block, page: str, namespace: dict[str, Any]) -> None:
    """Run a block in the names of its page, and compare what it prints."""
    if block.kind == "python":
        exec(compile("\n" * block.line + block.code, page, "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(block.code, namespace, page, page, block.line)
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append, clear_globs=False)
    namespace.update(test.globs)
    assert result.failed == 0, "".join(said)


def with_code() -> list[Path]:
    return [page for page in PAGES if any(blocks_of(page.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("page", with_code(), ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_does_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "docs"}
    missing: set[str] = set()
    for block in blocks_of(page.read_text(encoding="utf-8")):
        missing.update(block.missing())
        if not block.missing():
            run(block, str(page), namespace)
    if missing:
        pytest.skip(f"blocks that need {', '.join(sorted(missing))} were left out")


# The package on the index, where it is named otherwise than the module.
PACKAGES = {"faiss": "faiss-cpu", "sklearn": "scikit-learn"}


def says_how_to_install(text: str, module: str) -> bool:
    """Whether a page has a command that installs a module, by itself or by an extra."""
    package = PACKAGES.get(module, module)
    extras = extras_with(package)
    for command in re.findall(r"pip install ([^`\n]+)", text):
        named = re.search(r"\[([\w,]+)\]", command)
        if package in command.split() or (named and extras & set(named[1].split(","))):
            return True
    return False


def extras_with(package: str) -> set[str]:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    extras = re.findall(r"^(\w+) = \[(.*?)\]$", section, re.MULTILINE | re.DOTALL)
    return {name for name, packages in extras if re.search(rf"\"{package}\b", packages)}


@pytest.mark.parametrize("folder", ["getting-started", "how-to", "train"])
def test_a_page_says_how_to_install_what_its_code_needs(folder: str) -> None:
    """A reader comes to a page directly, with NumPy alone."""
    for page in sorted((DOCS / folder).glob("*.md")):
        text = page.read_text(encoding="utf-8")
        needs = {name for block in blocks_of(text) for name in block.needs}
        silent = [name for name in sorted(needs) if not says_how_to_install(text, name)]
        assert not silent, f"{page.name}: no command installs {', '.join(silent)}"


def test_a_page_that_says_nothing_is_found() -> None:
    assert says_how_to_install('`pip install "vecrecall[faiss]"`', "faiss")
    assert says_how_to_install("pip install scikit-learn", "sklearn")
    assert not says_how_to_install("pip install 'vecrecall[train]'", "faiss")


def test_a_wrong_page_fails() -> None:
    text = "```python\nx = 1\n```\n\n<!-- needs: no_such_module -->\n```pycon\n>>> x\n2\n```\n"
    first, second = blocks_of(text)
    assert (first.kind, first.line, second.missing()) == ("python", 1, ["no_such_module"])
    namespace: dict[str, Any] = {}
    run(first, "page", namespace)
    with pytest.raises(AssertionError, match="line 7, in page"):
        run(second, "page", namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_no_block_of_python_is_overlooked(page: Path) -> None:
    """Code in another kind of fence, or indented in a list, would never be run."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^ *(?:```|~~~) *(?:py|python|pycon)", text, re.MULTILINE)) == len(
        list(blocks_of(text))
    )


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("vecrecall", set(vr.__all__) - {"__version__", "adapters", "channels", "policies"}),
        ("vecrecall.policies", vr.policies.__all__),
        ("vecrecall.channels", vr.channels.__all__),
        ("vecrecall.train", vecrecall.train.__all__),
        ("vecrecall.datasets", vecrecall.datasets.__all__),
    ],
)
def test_the_reference_has_every_public_name(module: str, names: list[str]) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("reference/**/*.md"))
    documented = re.findall(rf"^::: {re.escape(module)}\.(\w+)$", pages, re.MULTILINE)
    assert sorted(documented) == sorted(names)


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"[\w/-]+\.md$", text.partition("\nnav:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_every_command_is_documented() -> None:
    """The page has a marker for each command, which a hook of MkDocs replaces by its help."""
    page = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "vecrecall", "--help"], capture_output=True, text=True, check=True
    )
    commands = re.findall(r"^    (\w+)  ", run.stdout, re.MULTILINE)
    assert {"demo", "info"} <= {*commands}
    markers = re.findall(r"^<!-- help: vecrecall ?(\w*) -->$", page, re.MULTILINE)
    assert sorted(markers) == sorted(["", *commands])


def test_the_hook_puts_help_into_a_page() -> None:
    hooks = tool("docs_hooks")
    text = hooks.on_page_markdown("before\n\n<!-- help: vecrecall info -->\n\nafter", page=None)
    assert text.startswith("before\n\n```text\nusage: vecrecall info [-h]\n")
    assert text.endswith("\n```\n\nafter")
    with pytest.raises(RuntimeError, match="vecrecall nothing --help: expected exit code 0"):
        hooks.help_of("vecrecall nothing")


def test_the_architecture_names_what_there_is() -> None:
    """A name between backticks is a name, or part of one, in the sources or the tests."""
    page = (DOCS / "development/architecture.md").read_text(encoding="utf-8")
    folders = ("cpp", "python", "tests/cpp")
    files = [
        path
        for name in folders
        for path in (ROOT / name).rglob("*")
        if path.suffix in (".cpp", ".hpp", ".py", ".pyi")
    ]
    sources = " ".join(path.name + " " + path.read_text(encoding="utf-8") for path in files)
    known = set(re.findall(r"\w+", sources))
    named = re.findall(r"`([A-Za-z_]\w*)(?:::(\w+))?(?:\.hpp)?`", page)
    unknown = {name for pair in named for name in pair if name and name not in known}
    assert unknown == set()
    assert {"Scanner", "choose_lists", "ChannelPool"} <= {first for first, _ in named}


def test_every_environment_variable_is_documented() -> None:
    sources = [*ROOT.glob("python/**/*.py"), *ROOT.glob("cpp/*/**/*.cpp")]
    reads = re.compile(r"(?:getenv\(|environ(?:\.get\(|\[))\"(VECRECALL_\w+)\"")
    used = {
        name for source in sources for name in reads.findall(source.read_text(encoding="utf-8"))
    }
    page = (DOCS / "reference/environment.md").read_text(encoding="utf-8")
    assert used <= set(re.findall(r"`(VECRECALL_\w+)`", page))
    assert used


def test_every_extra_is_documented() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    page = (DOCS / "getting-started/installation.md").read_text(encoding="utf-8")
    assert extras - set(re.findall(r"`(\w+)`", page)) == set()
    assert {"train", "faiss"} <= extras


def test_the_page_of_the_file_format_has_its_version() -> None:
    from vecrecall.storage._array_folder import FORMAT

    page = (DOCS / "reference/file-format.md").read_text(encoding="utf-8")
    assert f"The format's version is **{FORMAT}**" in page
