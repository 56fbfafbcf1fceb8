"""Vectors of keys from lists in which they stand near each other: skip-gram."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict

from vecrecall.arrays import _scalars
from vecrecall.train import _embedding
from vecrecall.train._columns import Column, check_lists
from vecrecall.train._corpus import Corpus
from vecrecall.train._embedding import Embedding
from vecrecall.train._skip_gram import SkipGram, SkipGramSettings
from vecrecall.train._training import PathLike, Progress, Stop, Training, fingerprint

_MOST = 10_000  # of gensim's C integers, with room; its threads end without a word beyond


def sequences(
    lists: Column,
    *,
    dim: int = 64,
    window: int = 5,
    epochs: int = 5,
    min_count: int = 1,
    sample: float = 1e-3,
    negative: int = 5,
    learning_rate: float = 0.025,
    subwords: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Stop | None = None,
    checkpoint: PathLike | None = None,
) -> Embedding:
    """Train vectors of keys by the company they keep in lists (skip-gram, negative sampling).

    The lists say what is learned: tags of what a user read (tag2vec), items in order of time
    (item2vec), authors or media (media2vec), places (loc2vec), words of texts, and types of users
    and items mixed into one list (`user_sequences`).

    Parameters
    ----------
    lists : sequence or column of lists of hashable
        Keys that stand near each other in a list get vectors with a large cosine. An empty or
        missing list has no effect. A list of more than 10,000 keys is trained in pieces.
    dim : int
        Numbers per vector.
    window : int
        Largest distance of two keys that are trained to be near; a smaller one is drawn for each
        key, so that nearer keys count more. At most 10,000.
    epochs : int
        Number of passes over the lists. The learning rate falls linearly over all of them.
    min_count : int
        Leave out keys that occur less often: the others become neighbors.
    sample : float
        From 0 to below 1. Frequent keys are skipped at random, the more the further their share
        of all keys lies above this one; 0 skips none.
    negative : int
        Number of keys drawn at random for each pair, which are trained to be far; at most
        10,000.
    learning_rate : float
        Of the first pair, above 0 and at most 1.
    subwords : bool
        Whether keys are words, of which parts of 3 to 6 letters have vectors too (fastText). A
        word is the mean of its parts, so that rare words learn from frequent ones of the same
        stem. Keys must be str.
    seed : int
        One seed gives the same bits on one machine.
    progress : callable, optional
        Called with a `TrainingProgress` several times per second.
    stop : threading.Event or callable, optional
        Once it is set or true, training ends within a second with the last finished epoch.
    checkpoint : path-like, optional
        A folder for the last finished epoch, from which the same call continues.

    Returns
    -------
    Embedding
        A vector for each frequent key, the most frequent first; metric ``"cosine"``.

    Raises
    ------
    ValueError
        If fewer than two keys are frequent enough or no list has two of them, a key is missing,
        a hyper-parameter is outside of its range, or the checkpoint is of other data or settings.
    TypeError
        If an argument is not as described; for a key with its row and place.
    TrainingStoppedError
        If a stop was asked for before the first epoch was finished.
    ImportError
        If gensim is missing (``pip install 'vecrecall[train]'``).

    References
    ----------
    Mikolov, Sutskever, Chen, Corrado and Dean, "Distributed Representations of Words and Phrases
    and their Compositionality", NIPS 2013 (skip-gram). Barkan and Koenigstein, "Item2vec: Neural
    Item Embedding for Collaborative Filtering", 2016 (items). Bojanowski, Grave, Joulin and
    Mikolov, "Enriching Word Vectors with Subword Information", TACL 2017 (subwords).

    Examples
    --------
    >>> import gensim
    >>> from vecrecall.train import sequences
    >>> lists = [["tea", "milk", "sugar", "cup"], ["nail", "hammer", "saw", "wood"]] * 100
    >>> words = sequences(lists, dim=8, epochs=20, sample=0, learning_rate=0.1)
    >>> sorted(key for key, _ in words.nearest("tea", k=3))
    ['cup', 'milk', 'sugar']
    """
    settings = SkipGramSettings(
        dim=_scalars.check_positive_int(dim, "dim"),
        window=_scalars.check_int_between(window, "window", 1, _MOST),
        epochs=_scalars.check_positive_int(epochs, "epochs"),
        min_count=_scalars.check_positive_int(min_count, "min_count"),
        sample=_check_share(sample),
        negative=_scalars.check_int_between(negative, "negative", 1, _MOST),
        learning_rate=_check_rate(learning_rate),
        subwords=_scalars.check_bool(subwords, "subwords"),
        seed=_scalars.check_int(seed, "seed", 0),
    )
    values = check_lists(lists, "lists")
    if settings.subwords:
        _check_words(values)
    corpus = Corpus.of(values, settings.min_count)
    options = asdict(settings)
    data = (corpus.keys, corpus.tokens, corpus.offsets)
    training = Training(
        "sequences",
        settings.epochs,
        progress,
        stop,
        checkpoint,
        "" if checkpoint is None else fingerprint(options, *data),
    )
    model = SkipGram(corpus, settings)
    training.run(model, lambda epoch: model.train_epoch(epoch, training.step))
    sizes = {
        "lists": len(values),
        "keys": len(corpus.keys),
        "tokens": sum(map(len, values)),
        "trained_tokens": corpus.tokens.size,
    }
    about = _embedding.about("sequences", options, sizes, ["gensim"])
    return Embedding(
        corpus.keys, model.vectors(), metric="cosine", about={**about, **training.about()}
    )


def _check_share(sample: float) -> float:
    share = _scalars.check_nonnegative(sample, "sample")
    if share >= 1:
        raise ValueError(f"sample: expected a share from 0 to below 1, got {share}")
    return share


def _check_rate(learning_rate: float) -> float:
    """Check the range in which a step cannot overflow: the model itself does not notice."""
    rate = _scalars.check_float(learning_rate, "learning_rate")
    if not 0 < rate <= 1:
        raise ValueError(f"learning_rate: expected a number above 0 and at most 1, got {rate}")
    return rate


def _check_words(lists: Sequence[Sequence[Hashable]]) -> None:
    """Check that all keys are words, in Unicode: parts of them are hashed as UTF-8."""
    for row, keys in enumerate(lists):
        for place, key in enumerate(keys):
            if not isinstance(key, str):
                raise TypeError(
                    f"lists: expected words with subwords=True, got {type(key).__name__} "
                    f"in row {row}, place {place}"
                )
            if not key.isascii() and key.encode("utf-8", "ignore").decode() != key:
                raise ValueError(
                    f"lists: expected words in Unicode with subwords=True, got {key!r} "
                    f"in row {row}, place {place}"
                )
