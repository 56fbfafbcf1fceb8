"""The values that arguments of command lines may have."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
from benchmarks.compare.__main__ import parser

from vecrecall.cli import _arguments


@pytest.mark.parametrize(
    ("text", "low"), [("0", 1), ("-3", 0), ("2.5", 1), ("many", 0), ("", 1), (" 5", 1)]
)
def test_no_whole_number(text: str, low: int) -> None:
    message = f"^expected a whole number >= {low}, got {text}$"
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        _arguments.whole(low)(text)


@pytest.mark.parametrize(("text", "high"), [("11", 10), (str(sys.maxsize + 1), sys.maxsize)])
def test_too_large(text: str, high: int) -> None:
    message = f"^expected a whole number from 1 to {high}, got {text}$"
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        _arguments.whole(1, high)(text)


def test_whole_numbers() -> None:
    assert _arguments.whole()("1") == 1
    assert _arguments.whole(0)("0") == 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_no_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^expected seconds > 0, got {text}$"):
        _arguments.seconds(text)


def test_files_that_cannot_be_made(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "found.json"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a file in a folder that"):
            _arguments.new_file(str(path))
    assert _arguments.new_file(str(tmp_path / "found.json")) == tmp_path / "found.json"


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "none" / "plots"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a folder, or one to make"):
            _arguments.new_folder(str(path))
    assert _arguments.new_folder(str(tmp_path)) == tmp_path
    assert _arguments.new_folder(str(tmp_path / "plots")) == tmp_path / "plots"


def test_compare_refuses_what_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["-k", "0"], ["--batch", "1", "0"], ["--items", "-5"]):
        with pytest.raises(SystemExit):
            parser().parse_args(wrong)
        assert "expected a whole number >= 1" in capsys.readouterr().err
