"""title2vec: vectors of titles by an LSTM that learns the categories of items."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars
from vecrecall.storage import _array_folder
from vecrecall.train._columns import (
    Column,
    check_keys,
    check_lists,
    check_texts,
    check_unique,
    numbering,
)
from vecrecall.train._embedding import Embedding, about
from vecrecall.train._folders import load_folder
from vecrecall.train._key_json import from_json, to_json
from vecrecall.train._tower_settings import check_rate
from vecrecall.train._training import PathLike, Progress, Stop, Training, epoch_rng, fingerprint

if TYPE_CHECKING:
    from vecrecall.train.networks._titles import TitleNetwork

Tokenize: TypeAlias = Callable[[str], Iterable[str]]
Ints = npt.NDArray[np.int64]

KIND = "TitleEncoder"
_UNKNOWN = 0
_ENCODED_AT_ONCE = 256
# Ideographs and kana, which are written without spaces.
_CJK = (
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARK = "_"  # stands for a mark of the letter before it
_TOKEN = re.compile(rf"[{_CJK}]{_MARK}*|[^\W_{_CJK}][^\W{_CJK}]*")


def titles(
    titles: Column,
    categories: Column,
    *,
    keys: Column | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    checkpoint: PathLike | None = None,
    **settings: Any,
) -> Embedding:
    """Train vectors of titles (title2vec).

    Parameters
    ----------
    titles : column of str, n of them
    categories : column of lists of hashable, n of them
    keys : column of hashable, n of them, optional
        Of the items; default the row numbers.
    progress, stop, checkpoint
        As of `TitleEncoder.fit`.
    **settings
        Of `TitleEncoder`.

    Returns
    -------
    Embedding
        By cosine. `TitleEncoder` makes the same, and vectors of new titles.

    Raises
    ------
    TypeError, ValueError
        As of `TitleEncoder.fit`.

    Examples
    --------
    >>> import torch
    >>> from vecrecall.train import titles
    >>> found = titles(["Green tea", "Black tea"], [["drink"], ["drink"]], dim=4, epochs=1)
    >>> found
    <Embedding of 2 x 4, cosine, by TitleEncoder>
    """
    encoder = TitleEncoder(**settings)
    encoder.fit(titles, categories, keys, progress=progress, stop=stop, checkpoint=checkpoint)
    return encoder.embedding_


class TitleEncoder:
    """An LSTM over the words of titles, trained towards the categories of the items.

    The vector of a title is the state after its last word.

    Parameters
    ----------
    dim : int
        Numbers per title.
    word_dim : int
        Numbers per word.
    tokenize : callable, optional
        ``tokenize(text)`` returns the words of a title. Default: runs of letters and digits in
        lower case, and each Chinese or Japanese character by itself.
    min_count : int
        Words that are rarer in the titles trained on count as unknown.
    max_words : int
        Of a longer title, the first ones count.
    word_dropout : float
        Share of words that are taken for unknown in training, so that unknown words have a
        meaning: that of no word in particular.
    learning_rate : float
        Of Adam.
    batch_size : int
    epochs : int
    seed : int
        One seed gives the same bits on one machine.

    Attributes
    ----------
    embedding_ : Embedding
        The vectors of the titles trained on, by cosine.
    categories_ : list of hashable
    words_ : list of str
        The known words.

    References
    ----------
    S. Hochreiter, J. Schmidhuber: Long Short-Term Memory. Neural Computation 9(8), 1997.

    Examples
    --------
    >>> import torch
    >>> from vecrecall.train import TitleEncoder
    >>> encoder = TitleEncoder(dim=4, epochs=2)
    >>> _ = encoder.fit(["Green tea", "Black tea", "Rock songs"], [["drink"], ["drink"], ["music"]])
    >>> encoder.encode(["Iced tea", ""]).shape
    (2, 4)
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        word_dim: int = 64,
        tokenize: Tokenize | None = None,
        min_count: int = 1,
        max_words: int = 32,
        word_dropout: float = 0.1,
        learning_rate: float = 0.005,
        batch_size: int = 64,
        epochs: int = 10,
        seed: int = 0,
    ) -> None:
        self.dim = _scalars.check_positive_int(dim, "dim")
        self.word_dim = _scalars.check_positive_int(word_dim, "word_dim")
        self.tokenize = _scalars.check_callable(tokenize, "tokenize")
        self.min_count = _scalars.check_positive_int(min_count, "min_count")
        self.max_words = _scalars.check_positive_int(max_words, "max_words")
        self.word_dropout = _scalars.check_nonnegative(word_dropout, "word_dropout")
        if self.word_dropout >= 1:
            raise ValueError(f"word_dropout: expected a share below 1, got {word_dropout}")
        self.learning_rate = check_rate(learning_rate, "learning_rate", allow_zero=True)
        self.batch_size = _scalars.check_positive_int(batch_size, "batch_size")
        self.epochs = _scalars.check_positive_int(epochs, "epochs")
        self.seed = _scalars.check_int(seed, "seed", 0)

    def fit(
        self,
        titles: Column,
        categories: Column,
        keys: Column | None = None,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
        checkpoint: PathLike | None = None,
    ) -> TitleEncoder:
        """Train on titles and the categories of their items.

        Parameters
        ----------
        titles : column of str, n of them
            A title without words is not trained on and has a zero vector.
        categories : column of lists of hashable, n of them
            An item without categories (an empty or missing list) is not trained on; its title has
            a vector like a new one.
        keys : column of hashable, n of them, optional
            Of the items; default the row numbers.
        progress : callable, optional
            Called with a `TrainingProgress` several times per second.
        stop : threading.Event or callable, optional
            Once set or true, training ends within a second with the last finished epoch. The
            vectors of all titles are made after that: of 60,000 in 1.4 seconds.
        checkpoint : path-like, optional
            A folder that keeps the last finished epoch, from which the same call continues. It
            knows `tokenize` by the words that it gives.

        Returns
        -------
        TitleEncoder
            The encoder itself.

        Raises
        ------
        TypeError, ValueError
            If a column is not as described, a key stands twice, or no title has words and
            categories.
        TrainingError
            If the loss or a vector is not finite.
        TrainingStoppedError
            If a stop was asked for before the first epoch was finished.
        """
        texts = check_texts(titles, "titles")
        labels = check_lists(categories, "categories", len(texts))
        names = list(range(len(texts))) if keys is None else check_keys(keys, "keys", len(texts))
        check_unique(names, "keys")
        tokens = self._tokens(texts)
        rows = np.array([i for i, of in enumerate(tokens) if of and labels[i]], np.int64)
        if not len(rows):
            raise ValueError("titles: expected at least one with words and categories, got none")
        needed("torch", "train", KIND)
        from vecrecall.train.networks._state import own_settings

        words = _frequent([tokens[i] for i in rows], self.min_count)
        known = numbering(category for i in rows for category in labels[i])
        training = Training(
            trainer=KIND,
            epochs=self.epochs,
            progress=progress,
            stop=stop,
            checkpoint=checkpoint,
            fingerprint=fingerprint({"trainer": KIND, **self._settings()}, tokens, labels),
        )
        word_of = numbering(words)
        data = _Titles(
            _padded([tokens[i] for i in rows], word_of),
            [[known[category] for category in labels[i]] for i in rows],
        )
        with own_settings():
            network = _network(self, len(words), len(known))
            _train(self, network, training, data, len(known))
            matrix = _vectors(network, word_of, tokens)
        training.check_vectors(matrix)
        sizes = {
            "titles": len(texts),
            "trained_on": len(rows),
            "words": len(words),
            "categories": len(known),
        }
        made = {**about(KIND, self._settings(), sizes, ["torch"]), **training.about()}
        self._network, self._word_of = network, word_of
        self.categories_, self.words_ = list(known), words
        self.embedding_ = Embedding(names, matrix, metric="cosine", about=made)
        return self

    def encode(self, titles: Column) -> npt.NDArray[np.float32]:
        """Return the vectors of titles, new ones too.

        Parameters
        ----------
        titles : column of str, n of them
            A title without words has a zero vector. Unknown words have one vector in common.

        Returns
        -------
        ndarray of float32, shape (n, dim)

        Raises
        ------
        TypeError
            If a title is no text.
        RuntimeError
            Before `fit`.
        """
        self._check_trained()
        tokens = self._tokens(check_texts(titles, "titles"))
        return _vectors(self._network, self._word_of, tokens)

    def save(self, path: PathLike) -> None:
        """Write a folder of `.npy` files and a JSON manifest, in one step.

        Parameters
        ----------
        path : str or path-like
            An empty folder, one to be made, or a saved encoder, which is replaced as a whole.
            `embedding_` is not in it: save that by itself.

        Raises
        ------
        TypeError
            If a category is not str, bytes, int, float, bool, UUID, or a tuple of these.
        RuntimeError
            Before `fit`.
        OSError
            If the folder cannot be written.
        """
        self._check_trained()
        lists = {
            "words": self.words_,
            "categories": [
                to_json(key, "categories", row) for row, key in enumerate(self.categories_)
            ],
        }
        parameters = [p.detach().numpy().ravel() for p in self._network.parameters()]
        arrays = {
            "parameters": np.concatenate(parameters),
            "lists": np.frombuffer(json.dumps(lists).encode(), np.uint8),
        }
        settings = {**self._settings(), "tokenize": self.tokenize is not None}
        _array_folder.save(_scalars.check_path(path, "path"), KIND, {"settings": settings}, arrays)

    @classmethod
    def load(cls, path: PathLike, *, tokenize: Tokenize | None = None) -> TitleEncoder:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like
        tokenize : callable, optional
            The one that the encoder was made with, if it was: functions are not saved.

        Returns
        -------
        TitleEncoder
            For `encode`; it has no `embedding_`.

        Raises
        ------
        ValueError
            If the folder holds something else, a file is damaged, or `tokenize` is missing, or
            given though the encoder was made without.
        FileNotFoundError
            If it does not exist.
        """
        content = load_folder(_scalars.check_path(path, "path"), KIND)
        settings = dict(content.about["settings"])
        if settings.pop("tokenize") != (tokenize is not None):
            raise ValueError("tokenize: expected the one that the encoder was made with")
        needed("torch", "train", KIND)
        from vecrecall.train.networks._titles import set_parameters

        encoder = cls(tokenize=tokenize, **settings)
        lists = json.loads(content.arrays["lists"].tobytes())
        encoder.words_ = lists["words"]
        encoder.categories_ = [from_json(key) for key in lists["categories"]]
        encoder._word_of = numbering(encoder.words_)
        encoder._network = _network(encoder, len(encoder.words_), len(encoder.categories_))
        set_parameters(encoder._network, content.arrays["parameters"])
        return encoder

    def _settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "word_dim": self.word_dim,
            "min_count": self.min_count,
            "max_words": self.max_words,
            "word_dropout": self.word_dropout,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "seed": self.seed,
        }

    def _check_trained(self) -> None:
        if not hasattr(self, "_network"):
            raise RuntimeError("TitleEncoder: not trained yet, call fit first")

    def _tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the first words of texts."""
        return [self._words_of(text, row)[: self.max_words] for row, text in enumerate(texts)]

    def _words_of(self, text: str, row: int) -> list[str]:
        if self.tokenize is None:
            return _words(text)
        found = self.tokenize(text)
        if isinstance(found, str) or not isinstance(found, Iterable):
            raise TypeError(
                f"tokenize: expected words, got {type(found).__name__} for the title in row {row}"
            )
        words = list(found)
        for word in words:
            if not isinstance(word, str):
                raise TypeError(
                    f"tokenize: expected words as str, got {type(word).__name__} "
                    f"for the title in row {row}"
                )
        return words


def _words(text: str) -> list[str]:
    """Return runs of letters and digits with their marks, which are no letters to `re`."""
    text = unicodedata.normalize("NFC", text.lower())
    seen = text.replace(_MARK, " ")
    if not text.isascii():
        for mark in filter(_is_mark, set(text)):
            seen = seen.replace(mark, _MARK)
    return [text[slice(*found.span())] for found in _TOKEN.finditer(seen)]


def _is_mark(character: str) -> bool:
    """Tell an accent or a vowel's sign from a selector of an emoji's form."""
    is_selector = "\ufe00" <= character <= "\ufe0f"
    return unicodedata.category(character) in ("Mn", "Mc") and not is_selector


class _Titles(NamedTuple):
    """Titles to train on."""

    padded: tuple[Ints, Ints]
    categories: list[list[int]]


def _frequent(tokens: Sequence[Sequence[str]], min_count: int) -> list[str]:
    """List the words that are frequent enough, in the order in which they first come."""
    counts: dict[str, int] = {}
    for words in tokens:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return [word for word, count in counts.items() if count >= min_count]


def _padded(tokens: Sequence[Sequence[str]], word_of: Mapping[Hashable, int]) -> tuple[Ints, Ints]:
    """Return the numbers of words in a row per title, and how many there are."""
    lengths = np.array([len(words) for words in tokens], np.int64)
    padded = np.full((len(tokens), max(1, lengths.max(initial=1))), _UNKNOWN, np.int64)
    for row, words in enumerate(tokens):
        padded[row, : len(words)] = [word_of.get(word, _UNKNOWN - 1) + 1 for word in words]
    return padded, lengths


def _vectors(
    network: TitleNetwork, word_of: Mapping[Hashable, int], tokens: Sequence[Sequence[str]]
) -> npt.NDArray[np.float32]:
    """Return the vectors of titles, zeros for one without words."""
    from vecrecall.train.networks._titles import encode

    found = np.zeros((len(tokens), network.dim), np.float32)
    rows = [row for row, words in enumerate(tokens) if words]
    for begin in range(0, len(rows), _ENCODED_AT_ONCE):
        part = rows[begin : begin + _ENCODED_AT_ONCE]
        found[part] = encode(network, *_padded([tokens[i] for i in part], word_of))
    return found


def _network(encoder: TitleEncoder, n_words: int, n_categories: int) -> TitleNetwork:
    from vecrecall.train.networks._state import own_settings, seeded
    from vecrecall.train.networks._titles import TitleNetwork

    with own_settings(), seeded(encoder.seed):
        return TitleNetwork(n_words + 1, n_categories, encoder.word_dim, encoder.dim)


def _train(
    encoder: TitleEncoder, network: TitleNetwork, training: Training, data: _Titles, n: int
) -> None:
    """Train a network on titles with `n` categories."""
    import torch

    from vecrecall.train.networks._state import NetworkState
    from vecrecall.train.networks._titles import train_batch

    optimizer = torch.optim.Adam(network.parameters(), lr=encoder.learning_rate)
    padded, lengths = data.padded

    def epoch(number: int) -> float:
        total = 0.0
        rng = epoch_rng(encoder.seed, number)
        order = rng.permutation(len(lengths))
        for begin in range(0, len(order), encoder.batch_size):
            rows = order[begin : begin + encoder.batch_size]
            words = padded[rows, : lengths[rows].max()]
            words[rng.random(words.shape) < encoder.word_dropout] = _UNKNOWN
            targets = np.zeros((len(rows), n), np.float32)
            for row, i in enumerate(rows.tolist()):
                targets[row, data.categories[i]] = 1
            value = train_batch(network, optimizer, network.loss(words, lengths[rows], targets))
            total += value * len(rows)
            training.step((begin + len(rows)) / len(order), value)
        return total / len(order)

    training.run(NetworkState(network, optimizer), epoch)
