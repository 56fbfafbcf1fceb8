"""The structure of the package: rooms that depend one way, below one public face."""

from __future__ import annotations

from pathlib import Path

import pytest
from import_graph import Graph, circle, import_graph, longest_chain

PACKAGE = Path(__file__).parents[2] / "python" / "vecrecall"
FACE = "vecrecall"
GRAPH = import_graph(PACKAGE)

ROOMS = (
    *("_core", "_extras", "_public", "arrays", "storage", "_runtime"),
    *("search", "cluster", "feed", "fusion", "policies", "adapters", "channels", "evaluation"),
    *("train", "datasets", "serve", "distributed", "cli", "__main__"),
)
"""A room may import those before it; `serve` and `cli` stand next to each other on the top floor.
Modules outside the rooms stand where they are used; channels come after adapters, since they recall
from indexes of other libraries too."""

FLOORS = 9


def room(module: str) -> str:
    return module.split(".")[1]


def rooms(graph: Graph) -> dict[str, set[str]]:
    """Reduce the graph to rooms; the face stands above all of them and is left out."""
    found: dict[str, set[str]] = {}
    for module, targets in graph.items():
        if module != FACE:
            own = found.setdefault(room(module), set())
            own.update(room(target) for target in targets - {FACE})
            own.discard(room(module))
    return found


def test_no_module_imports_the_public_face() -> None:
    assert [module for module, targets in GRAPH.items() if FACE in targets] == []
    written = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py" and "\nfrom vecrecall import" in path.read_text()
    ]
    assert written == [], "a module of the face's own is imported by its full name"


def test_no_circle() -> None:
    assert circle(GRAPH) == []


def test_every_room_has_a_place() -> None:
    assert set(rooms(GRAPH)) - set(ROOMS) == set()


def test_rooms_depend_one_way() -> None:
    place = {name: number for number, name in enumerate(ROOMS)}
    upward = [
        f"{module} imports {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if FACE not in (module, target) and place[room(target)] > place[room(module)]
    ]
    assert upward == []


def test_at_most_nine_floors() -> None:
    """A floor is a room: from the command line down to the arrays."""
    chain = longest_chain(rooms(GRAPH))
    assert chain[0] == "__main__"
    assert len(chain) <= FLOORS, " > ".join(chain)


FOLDERS = sorted({module.rpartition(".")[0] for module in GRAPH if module.count(".") > 1})


@pytest.mark.parametrize("folder", FOLDERS)
def test_at_most_nine_floors_inside_a_room(folder: str) -> None:
    inside = {
        module: {target for target in targets if target.rpartition(".")[0] == folder}
        for module, targets in GRAPH.items()
        if module.rpartition(".")[0] == folder
    }
    chain = longest_chain(inside)
    assert len(chain) <= FLOORS, " > ".join(chain)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose faults are known."""
    files = {
        "__init__.py": "from pkg.low import _a",
        "low/__init__.py": "",
        "low/_a.py": "import numpy\nfrom pkg import _core\nfrom . import _b",
        "low/_b.py": "def f():\n    from pkg.low._c import g",
        "low/_c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pkg.low._a",
        "top.py": "import pkg as p\nfrom pkg import name",
        "_core.pyi": "",
    }
    for name, text in files.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pkg"


def test_the_graph_of_a_package(package: Path) -> None:
    graph = import_graph(package)
    assert graph == {
        "pkg": {"pkg.low._a"},
        "pkg.low": set(),
        "pkg.low._a": {"pkg._core", "pkg.low._b"},
        "pkg.low._b": {"pkg.low._c"},
        "pkg.low._c": set(),
        "pkg.top": {"pkg"},
    }
    assert circle(graph) == []
    chain = ["pkg.top", "pkg", "pkg.low._a", "pkg.low._b", "pkg.low._c"]
    assert longest_chain(graph) == chain


def test_a_circle_is_found(package: Path) -> None:
    (package / "low" / "_c.py").write_text("from ._a import f")
    assert circle(import_graph(package)) == [f"pkg.low._{name}" for name in "abca"]
