"""The interface of scikit-learn's estimators, without its base classes."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._typing import F32, Array
from vecrecall.cluster import _features
from vecrecall.cluster._features import Names
from vecrecall.cluster._frames import CONTAINERS
from vecrecall.cluster._routing import WeightRequests
from vecrecall.cluster._sklearn import NotFittedError, global_output, known_to_sklearn

_E = TypeVar("_E", bound="Estimator")


class Estimator(WeightRequests):
    """Parameters by name, names of features, output as data frames.

    The constructor of a subclass stores its parameters and does nothing else; `fit` sets
    `n_features_in_`, `_names_in` and `_n_features_out`.
    """

    _estimator_type: ClassVar[str] = "clusterer"  # what scikit-learn before 1.6 looks at

    _sklearn_output_config: dict[str, str]  # its `clone` copies what has this name
    _names_in: Names | None
    n_features_in_: int

    @property
    def feature_names_in_(self) -> Names:
        """Names of the columns of `X`, where `fit` was given a data frame with names."""
        names: Names | None = getattr(self, "_names_in", None)
        if names is None:
            raise AttributeError(
                f"feature_names_in_: expected a {type(self).__name__} fitted to a data frame "
                "whose columns have names of type str"
            )
        return names

    @property
    def _n_features_out(self) -> int:
        raise NotImplementedError

    def get_feature_names_out(self, input_features: npt.ArrayLike | None = None) -> Names:
        """Name the columns that `transform` returns.

        Parameters
        ----------
        input_features : array_like of str, shape (d,), optional
            Only compared with the columns of `fit`.

        Returns
        -------
        ndarray of object, shape (n_clusters,)
            The name of the class in lower case and a number: ``"kmeans0"``, ``"kmeans1"``, ...

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        ValueError
            If `input_features` are not the columns of `fit`.
        """
        self._check_is_fitted()
        _features.check_given_names(input_features, self.n_features_in_, self._names_in)
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self._n_features_out)], object)

    def set_output(
        self: _E, *, transform: Literal["default", "pandas", "polars"] | None = None
    ) -> _E:
        """Choose what `transform` and `fit_transform` return.

        Parameters
        ----------
        transform : str, optional
            ``"default"`` for an array, ``"pandas"`` or ``"polars"`` for a data frame with the
            columns of `get_feature_names_out` and, in pandas, the index of the points. None changes
            nothing. Where it was never set, scikit-learn's ``set_config(transform_output=...)``
            counts.

        Returns
        -------
        KMeans
            This model.

        Raises
        ------
        TypeError, ValueError
            If `transform` is not as described.
        """
        if transform is not None:
            _scalars.check_choice(transform, "transform", CONTAINERS)
            self._sklearn_output_config = {"transform": transform}
        return self

    def _contained(self, values: F32, x: object) -> Any:
        """Return `values`, which belong to the points `x`, as `set_output` has it."""
        config = getattr(self, "_sklearn_output_config", None)
        kind = global_output() if config is None else config["transform"]
        if kind == "default":
            return values
        contain = _scalars.check_choice(kind, "transform_output", CONTAINERS)
        return contain(values, self.get_feature_names_out().tolist(), x)

    def _is_fitted(self) -> bool:
        return hasattr(self, "n_features_in_")

    def _check_is_fitted(self) -> None:
        if not self._is_fitted():
            raise known_to_sklearn(NotFittedError)(
                f"{type(self).__name__}: expected a fitted model, got one without `fit`"
            )

    def _points(self, x: npt.ArrayLike) -> Array:
        """Check points against those of `fit`."""
        self._check_is_fitted()
        owner = type(self).__name__
        if type(x) is not np.ndarray or self._names_in is not None:
            _features.check_names(x, self._names_in, owner, stacklevel=3)
        return _features.check_points(x, self.n_features_in_, owner)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {p.name: p.default for p in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            Makes no difference: no parameter is a model.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self: _E, **params: Any) -> _E:
        """Set parameters by name.

        Parameters
        ----------
        **params : object
            As the constructor takes them.

        Returns
        -------
        KMeans
            This model.

        Raises
        ------
        ValueError
            If a name is not a parameter; then none is set.
        """
        known = self._defaults()
        for name in params:
            if name not in known:
                raise ValueError(f"params: expected names among {', '.join(known)}, got {name!r}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    @classmethod
    def _check_names(cls, given: Mapping[str, object], taken: tuple[str, ...]) -> None:
        """Refuse what is no parameter, or one that a caller sets itself."""
        left = [name for name in cls._defaults() if name not in taken]
        for name in given:
            if name not in left:
                raise TypeError(f"{name}: expected a parameter among {', '.join(left)}, got {name}")

    def __repr__(self) -> str:
        shown = [
            f"{name}={value!r}"
            for (name, value), default in zip(
                self.get_params().items(), self._defaults().values(), strict=True
            )
            if not (value is default or (np.ndim(value) == 0 and value == default))
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_tags__(self) -> Any:
        """Describe the model to scikit-learn 1.6 and later, which alone calls this."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float32"]),
        )
