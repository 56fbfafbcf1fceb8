"""The tables that ``benchmarks.compare.report.pages`` makes from the results of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare.report import chart, pages, recall_curves
from benchmarks.compare.workloads import cluster, merge
from vecrecall.cli.bench.machine import Limits, Machine

MACHINE = Machine("a model", 2, "avx512vnni", 2, Limits(float32=100.0, int8=400.0, read=20.0))
MISSED = {
    "measurement": "search: x",
    "quantity": "times FAISS",
    "measured": 4.0,
    "target": "at least 7",
}


def entry(peer: str, seconds: float, recall: float = 1.0, setting: int | None = None) -> Any:
    # The median of three, none of which is the mean.
    times = [seconds, seconds / 2, seconds * 10]
    return {"peer": peer, "setting": setting, "seconds": times, "recall": recall}


def others(**seconds: float) -> dict[str, Any]:
    return {name: {"seconds": [value] * 3} for name, value in seconds.items()}


SEARCH = {
    **{"workload": "search", "data": "gaussian-64", "items": 1_000_000, "dim": 64},
    **{"k": 100, "batch": 256, "absent": {"usearch-exact": "not installed"}},
    "peers": {
        "vecrecall": entry("vecrecall", 0.0625),
        "scann-brute": entry("scann-brute", 0.25),
        "faiss-ivf, nprobe 64": entry("faiss-ivf", 0.03125, 0.9, 64),
    },
}
ASSIGN = {
    **{"workload": "assign", **cluster.ASSIGNMENTS[0]._asdict(), "absent": {}},
    "peers": others(vecrecall=0.5, torch=4.0, faiss=2.0, superkmeans=1.0, numpy=8.0),
}
MERGE = {
    **{"workload": "merge", "channels": 8, "width": 200, "k": 200, "users": 1000},
    "absent": {"ranx": "failed (ranx): MemoryError"},
    "peers": others(vecrecall=0.01, polars=0.4) | {merge.WITH_PROVENANCE: {"seconds": [0.02]}},
}
POOL = {
    **{
        "workload": "pool",
        "data": "uniform",
        "rows": 1_000_000,
        "dim": 64,
        "bags": 1000,
        "length": 20,
    },
    "peers": others(vecrecall=0.05),
    "absent": {},
}
FIT = {
    **{"workload": "kmeans", **cluster.FITS[0]._asdict(), "absent": {}},
    "peers": {
        "vecrecall": {"seconds": [2.0], "inertia": 10.0},
        "MiniBatchKMeans": {"seconds": [1.0], "inertia": 11.0},
        "faiss": {"seconds": [4.0], "inertia": 9.0},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "found.json"
    found = {
        "machine": MACHINE.as_json(),
        "versions": dict.fromkeys(
            (
                "vecrecall",
                "faiss-cpu",
                "scann",
                "torch",
                "superkmeans",
                "polars",
                "numpy",
                "scikit-learn",
            ),
            "9.8",
        ),
        "repeats": 3,
        "measurements": [SEARCH, ASSIGN, MERGE, POOL, FIT],
        "targets": [{**MISSED, "met": False}, {**MISSED, "quantity": "times NumPy", "met": True}],
    }
    path.write_text(json.dumps(found))
    return path


def test_searches(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pages.main([str(file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Top-100 of 1,000,000 x 64 (gaussian-64) by inner product" in shown
    assert "| scann-brute (9.8) | 0.977 (4.00x) |" in shown
    assert "Faster than vecrecall here: faiss-ivf, nprobe 64 at batch 256 (0.500x" in shown
    assert "Missing: usearch-exact not installed." in shown
    assert "a model, 2 CPUs, avx512vnni" in shown


def test_other_works_show_the_fastest_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages.main([str(file)])
    shown = " ".join(capsys.readouterr().out.split())
    times = "superkmeans 1.00 (2.00x) | faiss 2.00 (4.00x) | torch 4.00 (8.00x)"
    assert f"assign 500,000 x 64 to 500 centroids, seconds | **0.500** | {times} |" in shown
    assert "microseconds per user, one thread | **10.0** | polars 400 (40.0x) | | |" in shown
    assert "| the same with provenance | **20.0** | polars 400 (20.0x) |" in shown
    assert "rows, table 1,000,000 x 64 (uniform), ms | **50.0** | | | |" in shown
    fits = "MiniBatchKMeans 1.00 (0.500x, inertia 1.10x) | faiss 4.00 (2.00x)"
    assert f"20 iterations, seconds | **2.00** | {fits} | |" in shown
    assert "Missing: ranx failed (ranx): MemoryError." in shown
    names = ("faiss-cpu", "numpy", "polars", "scikit-learn", "superkmeans", "torch")
    assert f"With {', '.join(f'{name} 9.8' for name in names)}." in shown


def test_without_provenance(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(file.read_text())
    del found["measurements"][2]["peers"][merge.WITH_PROVENANCE]
    file.write_text(json.dumps(found))
    assert pages.main([str(file)]) == 0
    shown = capsys.readouterr().out
    assert "microseconds per user" in shown
    assert "the same with provenance" not in shown


def test_targets_are_listed_the_missed_ones_first(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages.main([str(file)])
    shown = " ".join(capsys.readouterr().out.split())
    missed = "| search: x | times FAISS | 4.00 | at least 7 | **missed** |"
    met = "| search: x | times NumPy | 4.00 | at least 7 | met |"
    assert 0 < shown.find(missed) < shown.find(met)


LISTS: dict[str, Any] = {
    **{"workload": "ivf", "data": "glove-50", "items": 1000, "dim": 50, "absent": {}},
}
AT_RECALL: dict[str, Any] = {**LISTS, "k": 10, "filter": "none", "recall": 0.95}


@pytest.fixture
def ivf_file(file: Path) -> Path:
    found = json.loads(file.read_text())
    build = {**LISTS, "part": "build", "peers": others(vecrecall=2.0, scann=8.0)}
    build["absent"] = {"usearch": "took longer than 600 s"}
    peers = {
        name: {**entry, "recall": 0.96} for name, entry in others(vecrecall=0.5, scann=1.0).items()
    }
    found["measurements"] = [
        build,
        {**AT_RECALL, "batch": 256, "peers": {"vecrecall": peers["vecrecall"]}},
        {**AT_RECALL, "batch": 1, "peers": peers},
    ]
    found["targets"] = [{**MISSED, "measurement": "ivf: x", "met": False}]
    found["versions"] = dict.fromkeys(["faiss-cpu", "hnswlib", "scann", "usearch"], "9.8")
    path = file.with_name("ivf.json")
    path.write_text(json.dumps(found))
    return path


def test_lists(ivf_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pages.main([str(ivf_file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1,000 x 50 (glove-50); builds in seconds: ours 2.00, ScaNN 8.00:" in shown
    assert "| top | filter | recall | ours, ms | ScaNN |" in shown.replace("-", "")
    assert "| 10 | none | 0.95 | 500 / 1.95 | 2.00 / - |" in shown
    assert "Missing: usearch took longer than 600 s." in shown
    assert "| ivf: x | times FAISS | 4.00 | at least 7 | **missed** |" in shown


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"records": []}'])
def test_figures_of_something_else(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(SystemExit):
        pages.main([str(path)])
    assert "other.json: expected a file of --json of compare, got" in capsys.readouterr().err


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for name in pages.PAGES:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(page_of("old\n"))
    return folder


def page_of(text: str, section: str = "measured") -> str:
    begin, end = pages.marks(section)
    return f"# Name\n\n{begin}\n{text}{end}\n\nmore\n"


def test_into_the_docs(
    file: Path, ivf_file: Path, docs: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    drawn: list[str] = []
    monkeypatch.setattr(chart, "draw", lambda found, machine, path: drawn.append(path.name))
    monkeypatch.setattr(recall_curves, "draw", lambda found, *rest: drawn.append(found[0]["data"]))
    shown = []
    for path in (file, ivf_file):
        pages.main([str(path)])
        shown.append(capsys.readouterr().out)
    for _ in range(2):  # a previous insertion is replaced as well
        assert pages.main([str(file), str(ivf_file), "--docs", str(docs)]) == 0
        for name, text in zip(pages.PAGES, shown, strict=True):
            assert (docs / name).read_text() == page_of(text)
    assert capsys.readouterr().out == ""
    assert drawn == ["search-and-peers.png", "search-and-peers.png", "glove-50"] * 2


def test_into_a_section_of_another_machine(
    ivf_file: Path, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = docs / "how-to/choose-an-index.md"
    page.write_text(page_of("old\n") + page_of("old\n", "avx2"))
    pages.main([str(ivf_file)])
    text = capsys.readouterr().out
    assert pages.main([str(ivf_file), "--docs", str(docs), "--section", "avx2"]) == 0
    assert page.read_text() == page_of("old\n") + page_of(text, "avx2")
    assert not (docs / "images").exists()


def test_a_page_of_other_workloads_stays(ivf_file: Path, docs: Path) -> None:
    pytest.importorskip("matplotlib")
    assert pages.main([str(ivf_file), "--docs", str(docs)]) == 0
    assert "old" in (docs / "explanation/benchmarks.md").read_text()
    assert [path.name for path in (docs / "images").iterdir()] == ["recall-time-glove-50.png"]


def test_the_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert chart.draw([SEARCH], MACHINE, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 1000
    assert not chart.draw([{**SEARCH, "batch": 1}], MACHINE, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_what_cannot_be_read(file: Path, docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = docs / "explanation/benchmarks.md"
    for arguments in ([str(docs / "none.json")], [str(page)]):
        with pytest.raises(SystemExit):
            pages.main(arguments)
        assert "expected a file that can be read" in capsys.readouterr().err
    page.write_text("no marks")
    with pytest.raises(SystemExit):
        pages.main([str(file), "--docs", str(docs)])
    assert "expected <!-- measured: begin --> and" in capsys.readouterr().err
    assert page.read_text() == "no marks"
    assert "old" in (docs / "how-to/choose-an-index.md").read_text()
