"""TransE: entities and relations of a knowledge graph as points and translations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars
from vecrecall.train._columns import Column, check_keys, numbering
from vecrecall.train._embedding import Embedding, about
from vecrecall.train._tower_settings import check_rate
from vecrecall.train._training import PathLike, Progress, Stop, Training, epoch_rng, fingerprint
from vecrecall.train._triples import AnswerTable, Ints, Triples, check_triples, numbered

if TYPE_CHECKING:
    from vecrecall.train.networks._trans_e import Side, TransENetwork

Floats = npt.NDArray[np.float64]

_NAME = "TransE"
_DISTANCES_AT_ONCE = 1 << 22  # 16 MB


@dataclass(frozen=True)
class LinkPrediction:
    """How well held-out triples are found, each with its head and with its tail taken away.

    Attributes
    ----------
    mrr : float
        Mean reciprocal rank.
    hits_at_1, hits_at_3, hits_at_10 : float
        Share of ranks of at most 1, 3 and 10.
    mean_rank : float
    ranks : ndarray of float64, shape (n, 2)
        Of the head and of the tail of each triple; 1 is best. Between entities at the same
        distance it is the mean of the first and the last place, so a half may occur.
    """

    mrr: float
    hits_at_1: float
    hits_at_3: float
    hits_at_10: float
    mean_rank: float
    ranks: Floats

    def __repr__(self) -> str:
        return (
            f"LinkPrediction(mrr={self.mrr:.4f}, hits_at_1={self.hits_at_1:.4f}, "
            f"hits_at_3={self.hits_at_3:.4f}, hits_at_10={self.hits_at_10:.4f}, "
            f"mean_rank={self.mean_rank:.2f}, n={len(self.ranks)})"
        )


class TransE:
    """Vectors of entities and relations, so that head + relation is close to tail.

    Trained with wrong heads and tails drawn at random, the nearer ones weighted higher
    (self-adversarial sampling). An entity that a training triple has in that place is not wrong.

    Parameters
    ----------
    dim : int
        Numbers per vector.
    margin : float
        Distance within which right answers are drawn and out of which wrong ones are pushed.
    norm : {1, 2}
        Distance: sum of absolute differences, or Euclidean.
    learning_rate : float
        Of Adam.
    batch_size : int
        Triples per step.
    epochs : int
    negatives : int
        Wrong entities per step, shared by the triples of a batch; all entities if there are fewer.
    temperature : float
        How much nearer wrong answers weigh more; 0 weighs all alike.
    seed : int
        One seed gives the same bits on one machine.

    Attributes
    ----------
    entities_ : Embedding
        A vector for each head and tail, in the order in which they first come. Its metric is "l2".
    relations_ : Embedding
        A vector for each relation.

    References
    ----------
    A. Bordes, N. Usunier, A. Garcia-Duran, J. Weston, O. Yakhnenko: Translating Embeddings for
    Modeling Multi-relational Data. NIPS 2013.

    Z. Sun, Z.-H. Deng, J.-Y. Nie, J. Tang: RotatE: Knowledge Graph Embedding by Relational
    Rotation in Complex Space. ICLR 2019 (the self-adversarial loss).

    Examples
    --------
    >>> import torch
    >>> from vecrecall.train import TransE
    >>> heads = ["Paris", "Rome", "Berlin", "Lyon"]
    >>> relations = ["capital of", "capital of", "capital of", "city in"]
    >>> tails = ["France", "Italy", "Germany", "France"]
    >>> model = TransE(dim=8, epochs=5).fit(heads, relations, tails)
    >>> model.entities_
    <Embedding of 7 x 8, l2, by TransE>
    >>> model.score(["Paris"], ["capital of"], ["France"]).shape
    (1,)
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        margin: float = 4.0,
        norm: int = 1,
        learning_rate: float = 0.01,
        batch_size: int = 512,
        epochs: int = 30,
        negatives: int = 64,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.dim = _scalars.check_positive_int(dim, "dim")
        self.margin = _scalars.check_nonnegative(margin, "margin")
        self.norm = _scalars.check_int_between(norm, "norm", 1, 2)
        self.learning_rate = check_rate(learning_rate, "learning_rate", allow_zero=True)
        self.batch_size = _scalars.check_positive_int(batch_size, "batch_size")
        self.epochs = _scalars.check_positive_int(epochs, "epochs")
        self.negatives = _scalars.check_positive_int(negatives, "negatives")
        self.temperature = _scalars.check_nonnegative(temperature, "temperature")
        self.seed = _scalars.check_int(seed, "seed", 0)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings().items())
        return f"TransE({settings})"

    def fit(
        self,
        heads: Column,
        relations: Column,
        tails: Column,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
        checkpoint: PathLike | None = None,
    ) -> TransE:
        """Train on triples; what was trained before is forgotten.

        Parameters
        ----------
        heads, relations, tails : column of hashable, n of each
            At least one triple. One that stands twice counts twice.
        progress : callable, optional
            Called with a `TrainingProgress` several times per second.
        stop : threading.Event or callable, optional
            Once set or true, training ends within a second with the last finished epoch.
        checkpoint : path-like, optional
            A folder that keeps the last finished epoch, from which the same call continues.

        Returns
        -------
        TransE
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or not hashable, or the columns differ in length.
        TrainingError
            If the loss or a vector is not finite.
        TrainingStoppedError
            If a stop was asked for before the first epoch was finished.
        """
        keys = check_triples(heads, relations, tails)
        needed("torch", "train", _NAME)
        entity_of = numbering([key for pair in zip(keys[0], keys[2], strict=True) for key in pair])
        relation_of = numbering(keys[1])
        triples = numbered(*keys, entity_of, relation_of)
        training = Training(
            trainer=_NAME,
            epochs=self.epochs,
            progress=progress,
            stop=stop,
            checkpoint=checkpoint,
            fingerprint=fingerprint(
                {"trainer": _NAME, **self._settings()}, list(entity_of), list(relation_of), *triples
            ),
        )
        from vecrecall.train.networks._state import own_settings

        with own_settings():
            found = _train(self, training, triples, len(entity_of), len(relation_of))
        sizes = {
            "triples": len(keys[0]),
            "entities": len(entity_of),
            "relations": len(relation_of),
        }
        made = {**about(_NAME, self._settings(), sizes, ["torch"]), **training.about()}
        self._triples, self._entity_of, self._relation_of = triples, entity_of, relation_of
        self.entities_ = Embedding(list(entity_of), found[0], metric="l2", about=made)
        self.relations_ = Embedding(list(relation_of), found[1], metric="l2", about=made)
        return self

    def score(self, heads: Column, relations: Column, tails: Column) -> npt.NDArray[np.float32]:
        """Return how plausible triples are.

        Parameters
        ----------
        heads, relations, tails : column of hashable, n of each

        Returns
        -------
        ndarray of float32, shape (n,)
            The distance from head + relation to tail with a minus sign: larger is better, 0 is
            the most.

        Raises
        ------
        KeyError
            If an entity or relation was in no training triple.
        RuntimeError
            Before `fit`.
        """
        at = self._numbers(heads, relations, tails)
        entities, relation_vectors = self.entities_.matrix, self.relations_.matrix
        gap = entities[at.heads] + relation_vectors[at.relations] - entities[at.tails]
        return np.asarray(-np.linalg.norm(gap, ord=self.norm, axis=1), np.float32)

    def evaluate(
        self,
        heads: Column,
        relations: Column,
        tails: Column,
        *,
        known: Sequence[Column] | None = None,
    ) -> LinkPrediction:
        """Rank the heads and tails of held-out triples among all entities.

        Filtered: entities that are right as well, by a training triple, another triple of these
        or one of `known`, are left out of a ranking.

        Parameters
        ----------
        heads, relations, tails : column of hashable, n of each
            At least one triple.
        known : three columns, optional
            Heads, relations and tails of more triples that are true, such as those held out for
            validation. Unknown entities and relations are allowed in these.

        Returns
        -------
        LinkPrediction

        Raises
        ------
        KeyError
            If an entity or relation of the held-out triples was in no training triple.
        RuntimeError
            Before `fit`.

        Examples
        --------
        >>> import torch
        >>> from vecrecall.train import TransE
        >>> model = TransE(dim=4).fit(["a", "b"], ["next", "next"], ["b", "c"])
        >>> model.evaluate(["a"], ["next"], ["c"]).ranks.shape
        (1, 2)
        """
        at = self._numbers(heads, relations, tails)
        all_known = [self._triples, at]
        if known is not None:
            all_known.append(self._known(known))
        true = Triples(*(np.concatenate(column) for column in zip(*all_known, strict=True)))
        n = len(self._relation_of)
        entities, relation_vectors = self.entities_.matrix, self.relations_.matrix
        moves = relation_vectors[at.relations]
        by_tail = AnswerTable(true.tails, true.relations, true.heads, n)
        by_head = AnswerTable(true.heads, true.relations, true.tails, n)
        everywhere = np.arange(len(entities))

        def known_heads(rows: slice) -> tuple[Ints, Ints]:
            return by_tail.of(at.tails[rows], at.relations[rows], everywhere)

        def known_tails(rows: slice) -> tuple[Ints, Ints]:
            return by_head.of(at.heads[rows], at.relations[rows], everywhere)

        head_ranks = _ranks(entities[at.tails] - moves, entities, at.heads, known_heads, self.norm)
        tail_ranks = _ranks(entities[at.heads] + moves, entities, at.tails, known_tails, self.norm)
        return _prediction(np.stack([head_ranks, tail_ranks], axis=1))

    def _settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "margin": self.margin,
            "norm": self.norm,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "negatives": self.negatives,
            "temperature": self.temperature,
            "seed": self.seed,
        }

    def _numbers(self, heads: Column, relations: Column, tails: Column) -> Triples:
        """Return the numbers of known keys."""
        if not hasattr(self, "entities_"):
            raise RuntimeError("TransE: not trained yet, call fit first")
        keys = check_triples(heads, relations, tails)
        found = numbered(*keys, self._entity_of, self._relation_of)
        for name, what, column, numbers in (
            ("heads", "entity", keys[0], found.heads),
            ("relations", "relation", keys[1], found.relations),
            ("tails", "entity", keys[2], found.tails),
        ):
            if (numbers < 0).any():
                row = int((numbers < 0).argmax())
                raise KeyError(f"{name}: unknown {what} {column[row]!r} in row {row}")
        return found

    def _known(self, known: Sequence[Column]) -> Triples:
        """Return the numbers of further true triples, without those of unknown keys."""
        if not isinstance(known, (tuple, list)) or len(known) != 3:
            raise TypeError("known: expected three columns: heads, relations and tails")
        first = check_keys(known[0], "known heads")
        second = check_keys(known[1], "known relations", len(first))
        third = check_keys(known[2], "known tails", len(first))
        found = numbered(first, second, third, self._entity_of, self._relation_of)
        usable = np.min(np.stack(found), axis=0) >= 0
        return Triples(*(column[usable] for column in found))


def _train(
    settings: TransE, training: Training, triples: Triples, n_entities: int, n_relations: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the matrices of entities and relations."""
    import torch

    from vecrecall.train.networks._state import NetworkState
    from vecrecall.train.networks._trans_e import TransENetwork, train_batch

    rng = np.random.default_rng(settings.seed)
    # Distances begin near the margin, as in Sun et al.
    bound = (settings.margin + 2) / settings.dim ** (1 / settings.norm)
    network = TransENetwork(
        rng.uniform(-bound, bound, (n_entities, settings.dim)).astype(np.float32),
        rng.uniform(-bound, bound, (n_relations, settings.dim)).astype(np.float32),
        settings.norm,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    batches = _Batches(triples, n_entities, n_relations, settings.negatives)

    def epoch(number: int) -> float:
        total = 0.0
        rng = epoch_rng(settings.seed, number)
        order = rng.permutation(len(triples.heads))
        for begin in range(0, len(order), settings.batch_size):
            rows = order[begin : begin + settings.batch_size]
            sides, candidates = batches.draw(rows, rng)
            loss = network.loss(sides, candidates, settings.margin, settings.temperature)
            value = train_batch(network, optimizer, loss)
            total += value * len(rows)
            training.step((begin + len(rows)) / len(order), value)
        return total / len(order)

    training.run(NetworkState(network, optimizer), epoch)
    found = _matrices(network)
    training.check_vectors(*found)
    return found


def _matrices(
    network: TransENetwork,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return (
        np.array(network.entities.detach().numpy()),
        np.array(network.relations.detach().numpy()),
    )


class _Batches:
    """Batches of triples with wrong entities, and which of these are right after all.

    Parameters
    ----------
    triples : Triples
    n_entities, n_relations : int
    negatives : int
    """

    def __init__(self, triples: Triples, n_entities: int, n_relations: int, negatives: int) -> None:
        self._triples, self._n_entities, self._negatives = triples, n_entities, negatives
        heads, relations, tails = triples
        self._heads_of = AnswerTable(tails, relations, heads, n_relations)
        self._tails_of = AnswerTable(heads, relations, tails, n_relations)
        self._place_of = np.full(n_entities, -1, np.int64)

    def draw(self, rows: Ints, rng: np.random.Generator) -> tuple[list[Side], Ints]:
        """Return the two sides of triples, and candidates for both."""
        from vecrecall.train.networks._trans_e import Side

        if self._negatives < self._n_entities:
            candidates = rng.choice(self._n_entities, self._negatives, replace=False)
        else:
            candidates = np.arange(self._n_entities)
        self._place_of[candidates] = np.arange(len(candidates))
        heads, relations, tails = (column[rows] for column in self._triples)
        sides = [
            Side(heads, tails, relations, 1.0, self._tails_of.of(heads, relations, self._place_of)),
            Side(
                tails, heads, relations, -1.0, self._heads_of.of(tails, relations, self._place_of)
            ),
        ]
        self._place_of[candidates] = -1
        return sides, candidates


def _ranks(
    queries: npt.NDArray[np.float32],
    entities: npt.NDArray[np.float32],
    answers: Ints,
    known: Callable[[slice], tuple[Ints, Ints]],
    norm: int,
) -> Floats:
    """Return the rank of each answer among all entities that are not known to be right too."""
    from vecrecall.train.networks._trans_e import distances

    found = np.empty(len(queries), np.float64)
    at_once = max(1, _DISTANCES_AT_ONCE // len(entities))
    for begin in range(0, len(queries), at_once):
        part = slice(begin, begin + at_once)
        away = distances(queries[part], entities, norm)
        own = away[np.arange(len(away)), answers[part]]
        away[known(part)] = np.inf  # the answer too
        nearer = (away < own[:, None]).sum(axis=1)
        as_near = (away == own[:, None]).sum(axis=1)
        found[part] = 1 + nearer + as_near / 2
    return found


def _prediction(ranks: Floats) -> LinkPrediction:
    return LinkPrediction(
        mrr=float((1 / ranks).mean()),
        hits_at_1=float((ranks <= 1).mean()),
        hits_at_3=float((ranks <= 3).mean()),
        hits_at_10=float((ranks <= 10).mean()),
        mean_rank=float(ranks.mean()),
        ranks=ranks,
    )
