"""A skip-gram model of gensim, trained an epoch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.train._corpus import Corpus
from vecrecall.train._training import Arrays, epoch_rng

FloatArray = npt.NDArray[np.float32]

_OUTPUT = "output"
_LONGEST = 10_000  # gensim drops the rest of longer lists
_SHORTEST = 1_000  # pieces shorter than this lose many pairs at their borders
_CHUNK = 100_000
_WORK = 5e7  # multiplications between two reports, about a tenth of a second
_LONGEST_WORK = 5 * _WORK
_LAST_RATE = 1e-4
_SAMPLED_PAIRS = 2_000
_MOST_BUCKETS = 2_000_000  # of hashed subwords, as fastText has them; fewer where half are empty
_SUBWORDS = range(3, 7)  # lengths, of fastText


@dataclass(frozen=True)
class SkipGramSettings:
    """Hyper-parameters, as `sequences` documents them."""

    dim: int
    window: int
    epochs: int
    min_count: int
    sample: float
    negative: int
    learning_rate: float
    subwords: bool
    seed: int


class SkipGram:
    """A model in training: the state that the loop of epochs keeps and restores.

    Parameters
    ----------
    corpus : Corpus
        Of str keys with subwords.
    settings : SkipGramSettings
    """

    def __init__(self, corpus: Corpus, settings: SkipGramSettings) -> None:
        models = needed("gensim.models", "train", "sequences")
        self._corpus = corpus
        self._settings = settings
        self._names = corpus.keys if settings.subwords else list(range(len(corpus.keys)))
        subwords = _count_subwords(corpus.keys) if settings.subwords else None
        options = {} if subwords is None else {"bucket": min(_MOST_BUCKETS, 1 + 2 * subwords[0])}
        self._model = (models.FastText if settings.subwords else models.Word2Vec)(
            sg=1,
            vector_size=settings.dim,
            window=settings.window,
            min_count=1,  # the corpus has frequent keys only
            sample=settings.sample,
            negative=settings.negative,
            alpha=settings.learning_rate,
            sorted_vocab=0,  # as the corpus has it; gensim's order of equal counts is not stable
            seed=_seed(settings.seed),
            workers=1,  # results of several workers would depend on their timing
            **options,
        )
        self._model.lifecycle_events = None  # one for each chunk
        frequencies = dict(zip(self._names, corpus.counts.tolist(), strict=True))
        self._model.build_vocab_from_freq(frequencies, corpus_count=len(corpus.offsets) - 1)
        if subwords is not None:
            # gensim adds up the vectors of all words after each chunk, in loops of Python.
            self._model.wv.adjust_vectors = lambda: None
        parts = 0.0 if subwords is None else subwords[1]
        work = settings.dim * (settings.negative + 1) * (1 + parts)
        self._chunk = _chunk_length(settings.window, work)

    def train_epoch(self, epoch: int, step: Callable[[float], None]) -> float:
        """Train on all lists once.

        Parameters
        ----------
        epoch : int
        step : callable
            Called several times per second with the finished share of the epoch.

        Returns
        -------
        float
            The mean loss of a sample of pairs, the same in each epoch.
        """
        model, total = self._model, self._corpus.tokens.size
        model.random = np.random.RandomState(_seed(self._settings.seed, epoch))
        done = 0
        for chunk in self._corpus.chunks(min(self._chunk, _LONGEST), self._chunk):
            begin, done = done, done + sum(piece.size for piece in chunk)
            model.train(
                [[self._names[number] for number in piece.tolist()] for piece in chunk],
                total_examples=len(chunk),
                epochs=1,
                start_alpha=self._rate(epoch + begin / total),
                end_alpha=self._rate(epoch + done / total),
            )
            step(done / total)
        return self._loss()

    def arrays(self) -> Arrays:
        """Return copies of the input and output vectors."""
        return {name: array.copy() for name, array in self._trained().items()}

    def result(self, into: Arrays | None = None) -> Arrays:
        """Return copies of the input vectors alone; `into` is overwritten by them."""
        found = {name: array for name, array in self._trained().items() if name != _OUTPUT}
        if into is None:
            return {name: array.copy() for name, array in found.items()}
        for name, array in found.items():
            np.copyto(into[name], array)
        return into

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `arrays` returned, or `result`, without the output vectors then."""
        for name, array in self._trained().items():
            if name in arrays:
                np.copyto(array, arrays[name])

    def vectors(self, rows: npt.NDArray[np.int64] | None = None) -> FloatArray:
        """Return the vectors of the keys, by number; with subwords the means over their parts."""
        wv = self._model.wv
        if not self._settings.subwords:
            return np.array(wv.vectors if rows is None else wv.vectors[rows], np.float32)
        numbers = range(len(self._names)) if rows is None else rows.tolist()
        found = np.empty((len(numbers), self._settings.dim), np.float32)
        for place, row in enumerate(numbers):
            parts = wv.buckets_word[row]
            own = wv.vectors_vocab[row] + wv.vectors_ngrams[parts].sum(axis=0)
            found[place] = own / (1 + len(parts))
        return found

    def _trained(self) -> Arrays:
        wv, output = self._model.wv, {_OUTPUT: self._model.syn1neg}
        if self._settings.subwords:
            return {"words": wv.vectors_vocab, "subwords": wv.vectors_ngrams, **output}
        return {"input": wv.vectors, **output}

    def _rate(self, epoch: float) -> float:
        """Return the learning rate, which falls linearly over all epochs."""
        first = self._settings.learning_rate
        return first - (first - min(first, _LAST_RATE)) * epoch / self._settings.epochs

    def _loss(self) -> float:
        """Compute the loss of the sampled pairs in float64: gensim adds it up in float32."""
        centers, contexts, noise = self._sample
        inputs = self.vectors(centers).astype(np.float64)
        output = self._model.syn1neg
        right = np.einsum("pd,pd->p", inputs, output[contexts].astype(np.float64))
        wrong = np.einsum("pd,pnd->pn", inputs, output[noise].astype(np.float64))
        losses = np.logaddexp(0, -right) + np.logaddexp(0, wrong).sum(axis=1)
        return float(losses.mean())

    @cached_property
    def _sample(self) -> tuple[npt.NDArray[np.int64], ...]:
        """Numbers of adjacent keys, and of keys drawn as gensim draws negative ones."""
        corpus, rng = self._corpus, epoch_rng(self._settings.seed, -1 % 2**32)
        is_last = np.zeros(corpus.tokens.size, bool)
        is_last[corpus.offsets[1:][np.diff(corpus.offsets) > 0] - 1] = True
        places = np.flatnonzero(~is_last)
        places = rng.choice(places, min(_SAMPLED_PAIRS, places.size), replace=False)
        weights = corpus.counts**0.75
        noise = rng.choice(
            len(weights), (places.size, self._settings.negative), p=weights / weights.sum()
        )
        tokens = corpus.tokens.astype(np.int64)
        return tokens[places], tokens[places + 1], noise


def _seed(*numbers: int) -> int:
    """Make a seed that gensim takes, of 32 bits, from numbers of any size."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _chunk_length(window: int, work: float) -> int:
    """Choose how many tokens are trained between two reports, by the work of a pair."""
    usual = _WORK / (work * (window + 1))
    # So many take half a second, by the window or by the pairs that a piece of this length has.
    most = max(_LONGEST_WORK / (work * (window + 1)), (_LONGEST_WORK / work) ** 0.5)
    return int(np.clip(usual, min(_SHORTEST, max(most, 2)), _CHUNK))


def _count_subwords(words: list[Any]) -> tuple[int, float]:
    """Return the number of different subwords, and the mean number per word."""
    marked = [f"<{word}>" for word in words]
    found: set[str] = set()
    total = 0
    for word in marked:
        for length in _SUBWORDS:
            parts = [word[i : i + length] for i in range(len(word) - length + 1)]
            found.update(parts)
            total += len(parts)
    return len(found), total / len(words)
