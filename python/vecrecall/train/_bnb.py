"""Vectors of several embeddings next to each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._pooling import concat_blocks, pool
from vecrecall.arrays._ragged_ops import blocks as row_blocks
from vecrecall.train import _embedding
from vecrecall.train._columns import Column, check_keys, check_unique, numbering
from vecrecall.train._embedding import Embedding, Metric


def bnb(
    blocks: Mapping[str, Embedding],
    *,
    weights: Mapping[str, float] | None = None,
    keys: Column | None = None,
    metric: Metric = "cosine",
) -> Embedding:
    """Concatenate embeddings of the same keys, such as by tags, topics and categories.

    Each block is divided by its length and multiplied by the root of its weight. The inner
    product of two keys is then the weighted sum of their cosines in the blocks.

    Parameters
    ----------
    blocks : mapping of str to Embedding
        At least one.
    weights : mapping of str to float, optional
        By name of the block, finite and >= 0; 1 for blocks that are not named.
    keys : column of hashable, optional
        The keys of the result, each once. By default those of all blocks in the order in which
        they first come.
    metric : {"cosine", "ip", "l2"}
        By ``"cosine"`` keys are compared by what they have. By ``"ip"`` a missing block counts as
        a cosine of zero.

    Returns
    -------
    Embedding
        With as many columns as all blocks have. A block is zero where it lacks the key or has a
        vector of zeros. A key that all blocks lack has a vector of zeros, which an index by cosine
        takes with ``to_index(invalid="skip")`` only.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a weight has no block.

    References
    ----------
    The "bnb" vectors of a news recommender: tags, topics and categories in one vector, with
    weights. As a weighted sum of kernels: Gönen and Alpaydin, "Multiple Kernel Learning
    Algorithms", JMLR 2011.

    Examples
    --------
    >>> from vecrecall.train import Embedding, bnb
    >>> tags = Embedding(["tea", "milk"], [[1, 0], [0, 2]])
    >>> topics = Embedding(["milk", "saw"], [[5], [-1]])
    >>> both = bnb({"tags": tags, "topics": topics}, weights={"topics": 4})
    >>> both.ids, both.matrix.tolist()
    (['tea', 'milk', 'saw'], [[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, -2.0]])
    """
    _check_blocks(blocks)
    chosen = dict.fromkeys(blocks, 1.0)
    chosen.update(_weights({} if weights is None else weights, blocks))
    if keys is None:
        found = list(numbering(key for block in blocks.values() for key in block))
    else:
        found = check_keys(keys, "keys")
        check_unique(found, "keys")
    matrix = _concatenated(list(blocks.values()), found, [chosen[name] for name in blocks])
    about = _embedding.about(
        "bnb",
        {"weights": chosen, "dims": {name: block.dim for name, block in blocks.items()}},
        {name: len(block) for name, block in blocks.items()},
        [],
    )
    return Embedding(found, matrix, metric=metric, about=about)


def _concatenated(
    blocks: list[Embedding], keys: list[Hashable], weights: list[float]
) -> npt.NDArray[np.float32]:
    """Write the rows of keys, a few at a time: between they are in float64."""
    rows = [block.rows(keys, missing="ignore") for block in blocks]
    found = np.empty((len(keys), sum(block.dim for block in blocks)), np.float32)
    for few in row_blocks(*found.shape):
        parts = [
            pool(block.matrix, own[few, None], normalize=True)
            for block, own in zip(blocks, rows, strict=True)
        ]
        found[few] = concat_blocks(parts, weights)
    return found


def _check_blocks(blocks: Mapping[str, Embedding]) -> None:
    if not isinstance(blocks, Mapping):
        raise TypeError(f"blocks: expected a mapping to Embeddings, got {type(blocks).__name__}")
    if not blocks:
        raise ValueError("blocks: expected at least one Embedding, got none")
    for name, block in blocks.items():
        if not isinstance(name, str):
            raise TypeError(f"blocks: expected names, got {type(name).__name__}")
        if not isinstance(block, Embedding):
            raise TypeError(f"blocks[{name!r}]: expected an Embedding, got {type(block).__name__}")


def _weights(
    weights: Mapping[str, float], blocks: Mapping[str, Embedding]
) -> Iterator[tuple[str, float]]:
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights: expected a mapping to numbers, got {type(weights).__name__}")
    for name, weight in weights.items():
        if name not in blocks:
            raise ValueError(f"weights: expected names of blocks, got {name!r}")
        yield name, _scalars.check_nonnegative(weight, f"weights[{name!r}]")
