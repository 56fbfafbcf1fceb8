"""Users and items in one space, by two towers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars
from vecrecall.train import _onnx_tower, _tower_folder
from vecrecall.train._columns import Column
from vecrecall.train._embedding import Embedding
from vecrecall.train._features import Features
from vecrecall.train._histories import Interactions
from vecrecall.train._tower_folder import Fitted
from vecrecall.train._tower_inputs import TowerInputs, check_overlap
from vecrecall.train._tower_settings import check_positive, check_rate, check_share
from vecrecall.train._training import PathLike, Progress, Stop, Training, fingerprint

if TYPE_CHECKING:
    from vecrecall.train.networks._towers import Towers

Encoder = Literal["mean", "lstm", "cnn", "attention"]
ENCODERS = {"mean": 0, "lstm": 1, "cnn": 2, "attention": 3}


class TwoTower:
    """Users and items in one space: DSSM, YouTube's concatenation, and encoders of histories.

    A tower of layers turns what is known of a user, last clicked items and attributes, into a
    vector, another tower what is known of an item; both have length 1. Clicked items are trained
    to be near, other items of the same batch to be far, corrected for how frequent these are.

    Parameters
    ----------
    dim : int
        Numbers per vector.
    hidden : sequence of int
        Widths of the hidden layers of each tower, possibly none.
    embedding_dim : int
        Numbers per key, category or number before the layers.
    encoder : {"mean", "lstm", "cnn", "attention"} or None
        How the last clicked items become one vector; None leaves them out.
    history_length : int
        Number of last clicked items that count.
    user_ids : bool, optional
        Whether a user's key is an input too; None: only without `encoder`.
    temperature : float
        Cosines are divided by it in training.
    learning_rate, weight_decay : float
        Of AdamW.
    batch_size : int
    epochs : int
        At most.
    patience : int
        With validation, training ends after so many epochs without a better one.
    dropout : float
        Share of the hidden layers' values that are dropped in training.
    unknown_rate : float
        Share of keys, categories and histories that are taken for unknown or missing ones in
        training, so that a new item, a new category and a user without history have a vector.
    max_categories : int
        Values of a column of categories with a vector of their own, the most frequent ones; the
        others count as unknown. Keys of items and users all have one.
    seed : int

    Attributes
    ----------
    item_embedding_ : Embedding
        All items of the interactions, metric cosine.
    user_embedding_ : Embedding
        All users of the interactions, with all of their history.
    losses_, validations_ : list of float
        By finished epoch; a validation is the mean NDCG of each user's last item among all that
        the user has not clicked before.

    References
    ----------
    Huang et al., "Learning Deep Structured Semantic Models for Web Search using Clickthrough
    Data", CIKM 2013. Covington, Adams and Sargin, "Deep Neural Networks for YouTube
    Recommendations", RecSys 2016. Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large
    Corpus Item Recommendations", RecSys 2019 (the loss). Hidasi et al., "Session-based
    Recommendations with Recurrent Neural Networks", ICLR 2016, and Tang and Wang, "Personalized
    Top-N Sequential Recommendation via Convolutional Sequence Embedding", WSDM 2018 (recurrent and
    convolutional encoders of histories).

    Examples
    --------
    >>> import torch
    >>> from vecrecall.train import TwoTower
    >>> users = ["ann", "ann", "bob", "bob", "cid", "cid"]
    >>> items = ["tea", "milk", "tea", "milk", "rock", "jazz"]
    >>> towers = TwoTower(dim=8, epochs=2).fit(users, items)
    >>> towers.encode_users([["tea"], []]).shape
    (2, 8)
    >>> index = towers.item_embedding_.to_index()
    >>> index.search(towers.encode_users([["tea"]]), k=2).ids.shape
    (1, 2)
    """

    item_embedding_: Embedding
    user_embedding_: Embedding

    def __init__(
        self,
        *,
        dim: int = 64,
        hidden: Sequence[int] = (128,),
        embedding_dim: int = 32,
        encoder: Encoder | None = "mean",
        history_length: int = 20,
        user_ids: bool | None = None,
        temperature: float = 0.1,
        learning_rate: float = 0.002,
        weight_decay: float = 0.0,
        batch_size: int = 512,
        epochs: int = 10,
        patience: int = 3,
        dropout: float = 0.1,
        unknown_rate: float = 0.1,
        max_categories: int = 10_000,
        seed: int = 0,
    ) -> None:
        count = _scalars.check_positive_int
        self.dim = count(dim, "dim")
        if isinstance(hidden, str) or not isinstance(hidden, Iterable):
            raise TypeError(f"hidden: expected widths of layers, got {type(hidden).__name__}")
        self.hidden = tuple(count(width, "hidden") for width in hidden)
        self.embedding_dim = count(embedding_dim, "embedding_dim")
        if encoder is not None:
            _scalars.check_choice(encoder, "encoder", ENCODERS, " or None")
        self.encoder = encoder
        self.history_length = count(history_length, "history_length")
        self.user_ids = (
            encoder is None if user_ids is None else _scalars.check_bool(user_ids, "user_ids")
        )
        self.temperature = check_positive(temperature, "temperature")
        self.learning_rate = check_rate(learning_rate, "learning_rate")
        self.weight_decay = check_share(weight_decay, "weight_decay")
        self.batch_size = _scalars.check_int(batch_size, "batch_size", 2)
        self.epochs = count(epochs, "epochs")
        self.patience = count(patience, "patience")
        self.dropout = check_share(dropout, "dropout")
        self.unknown_rate = check_share(unknown_rate, "unknown_rate")
        self.max_categories = count(max_categories, "max_categories")
        self.seed = _scalars.check_int(seed, "seed", 0)
        self._towers: Towers | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The hyper-parameters, as JSON values."""
        found = {name: value for name, value in vars(self).items() if name in SETTINGS}
        return {**found, "hidden": list(self.hidden)}

    def fit(
        self,
        users: Column,
        items: Column,
        times: Column | None = None,
        *,
        user_features: Features | None = None,
        item_features: Features | None = None,
        validation: bool = True,
        progress: Progress | None = None,
        stop: Stop | None = None,
        checkpoint: PathLike | None = None,
    ) -> TwoTower:
        """Train on interactions.

        Parameters
        ----------
        users, items : sequence of hashable, n of them
            A row per interaction.
        times : sequence of numbers or dates, optional
            When; a user's interactions of the same time keep the order of the rows. Without it, the
            order of the rows is that of time.
        user_features, item_features : Features, optional
            A user or item that is not there has missing values; those that have no interaction
            add their values to those that are known.
        validation : bool
            Whether the last interaction of each user (unless it is the only one of the user or of
            the item) is not trained on but says when training is good. Validated are at most 5,000
            users, fewer where there are more than 20,000 items.
        progress : callable, optional
            Called with a `TrainingProgress` several times per second.
        stop : threading.Event or callable, optional
            Once set or true, training ends within a second with the best finished epoch. The
            vectors of all users and items are made after that: of 200,000 users with an LSTM in 3
            seconds.
        checkpoint : path-like, optional
            A folder with the last finished epoch, from which the same call continues.

        Returns
        -------
        TwoTower
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a column does not fit, or the checkpoint is of other data or settings.
        TrainingError
            If a loss, a score of the validation or a vector is not finite.
        TrainingStoppedError
            If no epoch was finished.
        ImportError
            If torch is not installed.
        """
        needed("torch", "train", "TwoTower")
        from vecrecall.train.networks._state import own_settings
        from vecrecall.train.networks._tower_training import TowerTraining
        from vecrecall.train.networks._towers import new_towers

        log = Interactions.of(users, items, times)
        inputs = self._learned_inputs(log, user_features, item_features)
        check_overlap(user_features, log.users, "user_features")
        check_overlap(item_features, log.items, "item_features")
        user_rows = inputs.users.encode(log.users, user_features)
        item_rows = inputs.items.encode(log.items, item_features)
        with own_settings():
            towers = new_towers(inputs, self.settings)
            work = TowerTraining(
                towers,
                log,
                user_rows,
                item_rows,
                inputs,
                self.settings,
                _scalars.check_bool(validation, "validation"),
            )
            training = Training(
                "TwoTower",
                self.epochs,
                progress,
                stop,
                checkpoint,
                fingerprint(
                    {**self.settings, "validation": bool(validation)},
                    *(log.users, log.items, log.user_of, log.item_of),
                    *(inputs.users.fields, inputs.items.fields),
                    *(user_rows.codes, user_rows.numbers, item_rows.codes, item_rows.numbers),
                ),
                self.patience if len(work.held_out) else None,
            )
            training.run(
                work.state,
                lambda number: work.epoch(training, number),
                work.validate if len(work.held_out) else None,
            )
            embeddings = work.embeddings(training)
        self._inputs, self._towers = inputs, towers
        self._keep(*embeddings)
        return self

    def encode_users(
        self,
        histories: Column | None,
        user_features: Features | None = None,
        *,
        users: Column | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return vectors of users, known or new.

        Parameters
        ----------
        histories : sequence of lists of hashable, n of them, or None
            The items that each user clicked, oldest first. The last `history_length` known ones
            count; an item that training had not is left out. An empty list has a learned vector.
        user_features : Features, optional
            With the columns of training. A user that is not there has missing values, a value
            that training had not is unknown.
        users : sequence of hashable, n of them, optional
            The keys of the rows; without it those of `user_features`, in their order, and without
            both all users are new and nothing but their histories is known.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Vectors of length 1.

        Raises
        ------
        TypeError, ValueError
            If the rows do not fit each other, or the columns are not those of training.
        RuntimeError
            If nothing has been fitted or loaded.
        """
        from vecrecall.train.networks._tower_training import encoded

        towers = self._fitted()
        return encoded(towers.users, self._inputs.user_rows(histories, user_features, users))

    def encode_items(
        self, keys: Column | None, item_features: Features | None = None
    ) -> npt.NDArray[np.float32]:
        """Return vectors of items, known or new.

        Parameters
        ----------
        keys : sequence of hashable, n of them, or None
            None: those of `item_features`, in their order. An item that training had not is
            encoded from its features alone.
        item_features : Features, optional
            With the columns of training. An item that is not there has missing values.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Vectors of length 1.

        Raises
        ------
        TypeError, ValueError
            If the columns are not those of training.
        RuntimeError
            If nothing has been fitted or loaded.
        """
        from vecrecall.train.networks._tower_training import encoded

        towers = self._fitted()
        return encoded(towers.items, self._inputs.item_rows(keys, item_features))

    def export_onnx(self, path: PathLike, *, item_tower: bool = True) -> None:
        """Write the towers as ONNX models, which `OnnxTower` runs without torch.

        Parameters
        ----------
        path : str or path-like
            A folder, made if need be: `users.onnx`, `items.onnx` and `vocabulary.json`, which has
            the keys and categories by their codes.
        item_tower : bool
            Whether to write the tower of items too.

        Raises
        ------
        TypeError
            If a key or category is not str, bytes, int, float, bool, UUID, or a tuple of these.
        RuntimeError
            If nothing has been fitted or loaded.
        ImportError
            If onnx or onnxscript is not installed.
        """
        for module in ("onnx", "onnxscript"):
            needed(module, "train", "export_onnx")
        from vecrecall.train.networks._tower_export import onnx_bytes

        towers, inputs = self._fitted(), self._inputs
        n_user_codes, n_item_codes = inputs.n_codes
        models = {"users": onnx_bytes(towers.users, n_user_codes, inputs.users.n_numbers)}
        if item_tower:
            models["items"] = onnx_bytes(towers.items, n_item_codes, inputs.items.n_numbers)
        _onnx_tower.write(path, inputs, self.dim, models)

    def save(self, path: PathLike) -> None:
        """Write a folder of `.npy` files and a JSON manifest, in one step.

        Parameters
        ----------
        path : str or path-like
            An empty folder, one to be made, or a saved `TwoTower`, which is replaced as a whole.

        Raises
        ------
        TypeError
            If a key or category is not str, bytes, int, float, bool, UUID, or a tuple of these.
        RuntimeError
            If nothing has been fitted or loaded.
        OSError
            If the folder cannot be written.
        """
        from vecrecall.train.networks._tower_export import parameters

        values = parameters(self._fitted())
        fitted = Fitted(
            self.settings, self._inputs, values, self.user_embedding_, self.item_embedding_
        )
        _tower_folder.save(_scalars.check_path(path, "path"), fitted)

    @classmethod
    def load(cls, path: PathLike) -> TwoTower:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        TwoTower

        Raises
        ------
        ValueError
            If the folder holds something else, or a file is damaged.
        FileNotFoundError
            If it does not exist.
        ImportError
            If torch is not installed.
        """
        needed("torch", "train", "TwoTower")
        from vecrecall.train.networks._tower_export import restore
        from vecrecall.train.networks._towers import new_towers

        fitted = _tower_folder.load(_scalars.check_path(path, "path"))
        towers = cls(**fitted.settings)
        towers._inputs = fitted.inputs
        towers._towers = new_towers(fitted.inputs, fitted.settings)
        restore(towers._towers, fitted.parameters)
        towers._keep(fitted.users, fitted.items)
        return towers

    def _learned_inputs(
        self,
        log: Interactions,
        user_features: Features | None,
        item_features: Features | None,
    ) -> TowerInputs:
        length = 0 if self.encoder is None else self.history_length
        users, items = log.users if self.user_ids else None, log.items
        return TowerInputs.of(
            (users, user_features), (items, item_features), length, self.max_categories
        )

    def _keep(self, users: Embedding, items: Embedding) -> None:
        self.user_embedding_, self.item_embedding_ = users, items
        self.losses_ = list(items.about["losses"])
        self.validations_ = list(items.about["validations"])

    def _fitted(self) -> Towers:
        if self._towers is None:
            raise RuntimeError("TwoTower: expected a fitted one, call fit or load first")
        return self._towers


SETTINGS = tuple(TwoTower.__init__.__kwdefaults__ or ())
