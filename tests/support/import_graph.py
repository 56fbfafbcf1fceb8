"""The imports between the modules of a package, from their source alone.

Nothing is imported, so that neither the order of imports nor what happens to be installed matters.
Imports inside functions count, since they are dependencies too; those for type checkers do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, set[str]]


def modules_of(package: Path) -> dict[str, Path]:
    """Map module names to files; a folder's ``__init__`` has the name of the folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Map each module to the modules of the package that it imports.

    ``from package import name`` is an import of ``package.name`` where that is a module, compiled
    ones included, and of ``package`` itself otherwise.
    """
    modules = modules_of(package)
    compiled = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in package.rglob("*.pyi")
    }
    known = {*modules, *compiled}
    graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
        targets = set()
        for node in _imports(tree):
            targets.update(_targets(node, folder, known))
        graph[name] = (targets & known) - {name}
    return graph


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other)
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from _imports(child)


def _targets(node: ast.Import | ast.ImportFrom, folder: str, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    module = node.module or ""
    if node.level:
        parts = folder.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        module = f"{base}.{module}" if module else base
    for alias in node.names:
        full = f"{module}.{alias.name}"
        yield full if full in known else module


def circle(graph: Graph) -> list[str]:
    """Return the modules of an import circle, the first one repeated, or nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph.get(name, ())):
            if found := visit(target, [*path, name]):
                return found
        done.add(name)
        return []

    for name in graph:
        if found := visit(name, []):
            return found
    return []


def longest_chain(graph: Graph) -> list[str]:
    """Return the longest chain of imports of a graph without circles, the importer first."""
    chains: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in chains:
            below = max((chain(target) for target in graph.get(name, ())), key=len, default=[])
            chains[name] = [name, *below]
        return chains[name]

    return max((chain(name) for name in graph), key=len, default=[])
