"""Attributes that arrive in a pickle or a copy are checked before anyone uses them."""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

T = TypeVar("T")


class CheckedOnArrival(ABC):
    """The base of classes that are pickled by their attributes, those of a subclass among them."""

    __slots__ = ()

    @abstractmethod
    def _check_attributes(self) -> None:
        """Check the attributes as the constructor does; a caller of pickle may have made them."""

    def __setstate__(self, state: object) -> None:
        """Take attributes as pickle would, and check them."""
        _set_attributes(self, state)
        try:
            self._check_attributes()
        except AttributeError as error:
            raise ValueError(
                f"pickle: expected all attributes of a {type(self).__name__}, got an error: {error}"
            ) from error


def expect(x: object, kind: type[T], name: str) -> T:
    """Refuse what is of another class."""
    if not isinstance(x, kind):
        raise TypeError(f"{name}: expected a {kind.__name__}, got {type(x).__name__}")
    return x


def _set_attributes(x: object, state: object) -> None:
    parts: tuple[Any, ...] = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    for attributes in parts:  # of `__dict__`, then of slots
        if attributes is None:
            continue
        if not isinstance(attributes, dict) or not all(isinstance(n, str) for n in attributes):
            raise ValueError(
                f"pickle: expected attributes of a {type(x).__name__} by name, "
                f"got {type(attributes).__name__}"
            )
        for name, value in attributes.items():
            object.__setattr__(x, name, value)
