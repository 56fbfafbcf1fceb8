"""Random damage of what is saved: an error that says where, or something that can be used.

Checksums are right, so that what is damaged is read. `VECRECALL_FUZZ_ROUNDS` and
`VECRECALL_FUZZ_SEED` make it longer or different.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from comparison import ISAS, METRICS, forced_isa
from fuzzing import Rng, chance, pick
from hostile_files import (
    opened,
    random_values,
    resized,
    use_everything,
    use_index_and_keys,
    use_table,
    use_vocabulary,
)

import vecrecall as vr
from vecrecall.storage import _array_folder, _npy

ROUNDS = int(os.environ.get("VECRECALL_FUZZ_ROUNDS", "3000")) // 6
SEED = int(os.environ.get("VECRECALL_FUZZ_SEED", "1"))
Array = npt.NDArray[Any]
Saved = dict[str, Any]
Make = Callable[[Rng], Saved]

# From this many items on, rows whose lengths differ much are kept by length.
ORDERED = 7 * 2048 + 1
SIZES = (0, 1, 5, 64, 300, 300, 2049)


def index(rng: Rng, of: type[vr.FlatIndex] = vr.FlatIndex) -> Saved:
    """The arrays of an index, by name, and the other fields of its manifest."""
    d = int(rng.integers(1, 20))
    n = int(pick(rng, SIZES)) if chance(rng, 0.97) else ORDERED
    metric = pick(rng, METRICS)
    lengths = rng.pareto(1.5, (n, 1)) + 0.1
    made = of(
        rng.standard_normal((n, d)) * lengths,
        rng.permutation(3 * n)[:n] if chance(rng, 0.6) else None,
        metric=metric,
        bias=rng.standard_normal(n) if chance(rng, 0.5) else None,
    )
    arrays = {**made._now().parts(), "skipped": np.arange(2)}
    return {"arrays": arrays, "about": {"kind": of.__name__, "format": 6, "metric": metric}}


def index_of_lists(rng: Rng) -> Saved:
    """The same of one that has lists."""
    return index(rng, vr.IVFIndex)


def keyed_index(rng: Rng) -> Saved:
    """The same with a vocabulary, which is a part of the folder."""
    return {**index(rng), "vocabulary": vocabulary(rng)}


def table(rng: Rng) -> Saved:
    """The arrays of a table of neighbors, and the other fields of its manifest."""
    n = int(pick(rng, (0, 1, 5, 300)))
    offsets = np.append(0, rng.integers(0, 4, n).cumsum())
    arrays = {
        "items": rng.permutation(3 * n)[:n],
        "offsets": offsets,
        "ids": rng.integers(0, 3 * n + 1, offsets[-1]),
        "scores": rng.standard_normal(offsets[-1], dtype=np.float32),
    }
    about = {"kind": "NeighborTable", "format": 6, "n": n, "complete": True}
    return {"arrays": arrays, "about": about}


def vocabulary(rng: Rng) -> Saved:
    """The arrays of a vocabulary, and the other fields of its manifest."""
    n = int(pick(rng, (0, 1, 5, 300)))
    make: Any = pick(rng, [int, str, lambda i: b"x" * (i % 70) + b"%d" % i, lambda i: UUID(int=i)])
    about, arrays = vr.Vocabulary([make(i) for i in range(n)])._content()
    return {"arrays": dict(arrays), "about": {"kind": "Vocabulary", "format": 6, **about}}


def write(folder: Path, saved: Saved) -> dict[str, Any]:
    """Write the arrays; returns the manifest without its checksum."""

    def stored(arrays: dict[str, Array], prefix: str) -> dict[str, Any]:
        return {
            name: _npy.write(folder / f"{prefix}{name}-{'0' * 12}.npy", array)._asdict()
            for name, array in arrays.items()
        }

    manifest = {**saved["about"], "arrays": stored(saved["arrays"], "")}
    if "vocabulary" in saved:
        part = saved["vocabulary"]
        part = {**part["about"], "arrays": stored(part["arrays"], "vocabulary_")}
        manifest["parts"] = {"vocabulary": part}
    return manifest


def commit(folder: Path, text: str) -> None:
    """Write a manifest, with its checksum if there can be one."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict) and text.startswith("{"):
        with contextlib.suppress(RecursionError):
            text = f'{{"checksum": "{_array_folder._sum(parsed)}", {text[1:]}'
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))


WORDS = (
    *(
        "ip",
        "cosine",
        "FlatIndex",
        "IVFIndex",
        "ClusterFeed",
        "<f4",
        "<f8",
        "|O",
        "<M8",
        "",
        "\0",
        "\ud800",
    ),
    *("../x", "/etc/passwd", "rows-000000000000.npy", "ids-000000000000.npy", "manifest.json"),
)
NUMBERS = ("0", "-0", "-1", "1e999", "-1e999", "NaN", "Infinity", "1.5", "2.0", "true", "null")


def random_json(rng: Rng, depth: int = 0) -> str:
    """Text that is JSON, or nearly."""
    match int(rng.integers(8 if depth < 4 else 4)):
        case 0:
            return pick(rng, NUMBERS)
        case 1:
            return str(int(pick(rng, [2**31, 2**32 + 1, 2**62, 2**63, 2**64, 10**300])))
        case 2:
            return json.dumps(pick(rng, WORDS))
        case 3:
            return str(int(rng.integers(-3, 400)))
        case 4:
            return f"[{', '.join(random_json(rng, depth + 1) for _ in range(rng.integers(0, 4)))}]"
        case 5:
            pairs = [
                f"{json.dumps(pick(rng, [*WORDS, *KEYS]))}: {random_json(rng, depth + 1)}"
                for _ in range(rng.integers(0, 4))
            ]
            return f"{{{', '.join(pairs)}}}"
        case 6:
            nested = int(pick(rng, [3, 100, 300, 900, 960, 2000, 100_000]))
            return "[" * nested + "]" * nested
        case _:
            nested = int(pick(rng, [3, 300, 900, 2000]))
            return '{"file":' * nested + "1" + "}" * nested


KEYS = ("kind", "format", "metric", "arrays", "rows", "ids", "file", "dtype", "shape", "checksum")
HOLE = "the place of what is put there"


def damage_manifest_bytes(rng: Rng, make: Make, folder: Path) -> None:
    """Flip, remove and repeat bytes; the checksum is made for what is left, if it is JSON."""
    text = json.dumps(write(folder, make(rng)))
    for _ in range(rng.integers(1, 4)):
        a, b = sorted(rng.integers(0, len(text) + 1, 2).tolist())
        match int(rng.integers(4)):
            case 0:
                text = text[:a] + chr(int(rng.integers(1, 256))) + text[a + 1 :]
            case 1:
                text = text[:a]
            case 2:
                text = text[:a] + text[min(b, a + 9) :]
            case _:
                text = text[:b] + text[a:]
    commit(folder, text)


def damage_manifest_values(rng: Rng, make: Make, folder: Path) -> None:
    """Put other values, and keys a second time, anywhere; now and then a file is gone too."""
    manifest = write(folder, make(rng))
    at: Any = manifest
    while True:
        key = pick(rng, sorted(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], (dict, list)) or not at[key] or chance(rng, 0.3):
            break
        at = at[key]
    if isinstance(at, dict) and chance(rng, 0.3):
        at[HOLE] = 0
        twice = f'"{pick(rng, [key, *KEYS])}": {random_json(rng)}'
        text = json.dumps(manifest).replace(f'"{HOLE}": 0', twice)
    else:
        at[key] = HOLE
        text = json.dumps(manifest).replace(f'"{HOLE}"', random_json(rng))
    if chance(rng, 0.1):
        for file in sorted(folder.glob("*.npy"))[:1]:
            file.unlink()
    commit(folder, text)


def damage_headers(rng: Rng, make: Make, folder: Path) -> None:
    """Other bytes in the header of an array, or another length."""
    manifest = write(folder, make(rng))
    file = folder / pick(rng, sorted(f.name for f in folder.glob("*.npy")))
    content = bytearray(file.read_bytes())
    match int(rng.integers(4)):
        case 0:
            content = content[: int(rng.integers(0, len(content)))]
        case 1:
            content += rng.bytes(int(rng.integers(1, 300)))
        case _:
            for place in rng.integers(0, 128, rng.integers(1, 5)).tolist():
                content[place] = int(rng.integers(256))
    file.write_bytes(content)
    commit(folder, json.dumps(manifest))


def damage_values(rng: Rng, make: Make, folder: Path) -> None:
    """Other values in some arrays, as if they had been saved."""
    saved = make(rng)
    for name in rng.permutation(sorted(saved["arrays"]))[: rng.integers(1, 4)].tolist():
        array = saved["arrays"][name] = np.array(saved["arrays"][name])
        if array.size == 0:
            continue
        n = int(pick(rng, [1, 1, 3, array.size]))
        array.flat[rng.integers(0, array.size, n)] = random_values(rng, array, n)
        if chance(rng, 0.2):
            array[...] = np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape)
    commit(folder, json.dumps(write(folder, saved)))


def damage_shapes(rng: Rng, make: Make, folder: Path) -> None:
    """Arrays that are left out, exchanged, of another shape, type or index, as if saved so."""
    saved, other = make(rng), make(rng)
    arrays = saved["arrays"]
    for _ in range(rng.integers(1, 4)):
        name = pick(rng, sorted(arrays)) if arrays else "rows"
        match int(rng.integers(6)):
            case 0:
                arrays.pop(name, None)
            case 1:
                arrays[name] = pick(rng, list(other["arrays"].values()))
            case 2:
                arrays.update(other["arrays"])
            case 3:
                saved["about"]["metric"] = pick(rng, METRICS)
            case _:
                if name in arrays:
                    with np.errstate(all="ignore"):
                        arrays[name] = resized(rng, arrays[name])
    commit(folder, json.dumps(write(folder, saved)))


DAMAGES = (
    damage_manifest_bytes,
    damage_manifest_values,
    damage_headers,
    damage_values,
    damage_shapes,
)
SUBJECTS: dict[str, tuple[Make, Any, Callable[[Any, Rng, Path], None]]] = {
    "index": (index, vr.FlatIndex, use_everything),
    "index of lists": (index_of_lists, vr.IVFIndex, use_everything),
    "index with a vocabulary": (keyed_index, vr.FlatIndex, use_index_and_keys),
    "table": (table, vr.NeighborTable, use_table),
    "vocabulary": (vocabulary, vr.Vocabulary, use_vocabulary),
}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_random_damage(
    damage: Callable[[Rng, Make, Path], None],
    subject: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # most of the time otherwise
    make, kind, use = SUBJECTS[subject]
    used = refused = 0
    rounds = ROUNDS if subject == "index" else ROUNDS // 3  # the others have less in them
    for round_ in range(rounds):
        print(f"seed {SEED}, round {round_}")
        rng = np.random.default_rng([SEED, round_])
        folder = tmp_path / "damaged"
        folder.mkdir()
        with forced_isa(pick(rng, ISAS)):
            damage(rng, make, folder)
            found = opened(folder, kind, mmap=chance(rng, 0.5), verify=chance(rng, 0.5))
            if found is not None:
                use(found, rng, tmp_path / "saved")
        used, refused = used + (found is not None), refused + (found is None)
        for path in (folder, tmp_path / "saved"):
            for file in path.glob("*"):
                file.unlink()
        folder.rmdir()
        capsys.readouterr()  # keep the last round only
    assert refused >= rounds // 10
    # No byte of a header is free, and of a manifest's next to none.
    assert used > 0 or damage in (damage_headers, damage_manifest_bytes)
