"""The output of commands: plain and stable in files, styled by rich on terminals."""

from __future__ import annotations

import io
import re
import sys
from typing import TextIO

import pytest

from vecrecall.cli._output import Output, terminal_console
from vecrecall.cli._progress import Progress
from vecrecall.cli._tables import Cell, markdown_table


class Terminal(io.StringIO):
    """A terminal that remembers everything it was sent."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    pytest.importorskip("rich", reason='needs pip install "vecrecall[demo]"')
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def without_escapes(file: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


LONG = "a title that is much longer than a third of the terminal"


def write_report(file: TextIO) -> None:
    output = Output(file)
    output.heading("Users [/b]")
    output.line("a | line [/b]", "yellow")
    output.table(["title", "n"], [["a|b", "1"], [Cell("c\nd", "bold green"), "20"]])
    output.table(["cut", "whole"], [[LONG, LONG]], left=2, ratios=(1, 2))


PLAIN = """
## Users [/b]

a | line [/b]
| title |  n |
|-------|---:|
| a\\|b  |  1 |
| c d   | 20 |

"""


def test_a_file_gets_markdown() -> None:
    file = io.StringIO()
    write_report(file)
    assert file.getvalue().startswith(PLAIN)
    assert f"| {LONG} | {LONG} |" in file.getvalue()  # whatever the width of a terminal


def test_a_terminal_gets_styles(terminal: Terminal) -> None:
    write_report(terminal)
    shown = without_escapes(terminal)
    assert "\x1b[33ma | line [/b]" in terminal.getvalue()  # yellow
    assert "\x1b[1;32mc" in terminal.getvalue()  # bold green
    assert "── Users [/b] ──" in shown
    assert "│ a|b   │  1 │" in shown
    assert max(map(len, shown.splitlines())) <= 60
    first = [line for line in shown.splitlines() if "a title" in line]
    assert len(first) == 1
    assert "…" in first[0]  # the first column is cut, the last one goes on below
    assert " ".join(re.findall(r"[a-z]+", shown)).endswith("third of the terminal")


def test_a_terminal_gets_whole_numbers_however_narrow_it_is(terminal: Terminal) -> None:
    header = ["peer", *(f"column {n}" for n in range(9))]
    Output(terminal).table(header, [["name", *("0.0123 (1.00x)" for _ in range(9))]])
    assert without_escapes(terminal).count("0.0123 (1.00x)") == 9


def test_without_rich_a_terminal_gets_the_same_text(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    write_report(file)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert terminal_console(terminal) is None
    write_report(terminal)
    assert terminal.getvalue() == file.getvalue()
    with Progress(file=terminal) as progress, progress.step("a step") as step:
        step.detail("a part")
        step.advance()
    assert terminal.getvalue() == f"{file.getvalue()}  a step\n"


def run_steps(progress: Progress) -> None:
    with progress:
        with progress.step("read", terminal_only=True):
            pass
        with progress.step("build", 2) as step:
            step.detail("numpy [/b]")
            step.advance()
            step.advance()
        with pytest.raises(ValueError, match="broken"), progress.step("fail"):
            raise ValueError("broken")
        with progress.step("search"):
            pass


def test_progress_in_a_file_is_a_line_per_step() -> None:
    file = io.StringIO()
    progress = Progress(file=file)
    run_steps(progress)
    assert file.getvalue() == "  build\n  fail\n  search\n"
    assert list(progress.seconds) == ["read", "build", "search"]
    assert all(seconds >= 0 for seconds in progress.seconds.values())


def test_progress_on_a_terminal_leaves_nothing_behind(terminal: Terminal) -> None:
    progress = Progress(file=terminal)
    run_steps(progress)
    assert "build: numpy [/b]" in without_escapes(terminal)
    assert "\n" not in terminal.getvalue()
    assert without_escapes(terminal).rpartition("\r\r")[2].strip() == ""  # the line is erased
    assert list(progress.seconds) == ["read", "build", "search"]
    with progress.step("once more"):  # after the display was closed
        pass
    progress.close()
    assert "once more" in without_escapes(terminal)


def test_finished_steps_stay_where_that_is_asked_for(terminal: Terminal) -> None:
    run_steps(Progress(keep=True, file=terminal))
    last = without_escapes(terminal).rstrip().splitlines()[-4:]
    assert [line.split()[0] for line in last] == ["read", "build:", "fail", "search"]
    assert [re.findall(r"\d/\d", line)[0] for line in last] == ["1/1", "2/2", "0/1", "1/1"]


def test_cells_are_escaped_and_aligned() -> None:
    assert markdown_table(["a", "b", "c"], [["x\ny", "|", "1"]], left=2) == (
        "| a   | b  | c |\n|-----|----|--:|\n| x y | \\| | 1 |"
    )
