"""Where scikit-learn is imported: its errors and warnings, and its settings.

Code that names its classes or changes its settings has imported it: nothing is imported here.
"""

import functools
import sys
from typing import Any, TypeVar

_E = TypeVar("_E", bound=Exception)


class NotFittedError(ValueError, AttributeError):
    """Raised where a model is used before `fit`; caught as scikit-learn's of that name, too."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _raised, (NotFittedError, self.args)


class ConvergenceWarning(UserWarning):
    """Fewer clusters than were asked for; filtered as scikit-learn's of that name, too."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _raised, (ConvergenceWarning, self.args)


def known_to_sklearn(own: type[_E]) -> type[_E]:
    """Derive a class from `own` and scikit-learn's of that name; `own` where it is not imported."""
    theirs = getattr(sys.modules.get("sklearn.exceptions"), own.__name__, None)
    if theirs is None:
        return own
    classes: tuple[Any, Any] = own, theirs
    joined: type[_E] = _joined(*classes)
    return joined


def global_output() -> str:
    """Return what transformers return by scikit-learn's `set_config`."""
    get_config = getattr(sys.modules.get("sklearn"), "get_config", None)
    return "default" if get_config is None else str(get_config().get("transform_output", "default"))


@functools.cache
def _joined(own: Any, theirs: Any) -> Any:
    return type(own.__name__, (own, theirs), {"__doc__": own.__doc__, "__module__": own.__module__})


def _raised(own: type[_E], args: tuple[object, ...]) -> _E:
    """Unpickle: another process may have imported scikit-learn or not."""
    return known_to_sklearn(own)(*args)
