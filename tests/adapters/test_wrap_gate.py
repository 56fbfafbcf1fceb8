"""A library's own setting, as an argument of each search."""

import threading

import pytest

from vecrecall.adapters.backends._gate import Gate


class Held:
    value = 5

    def put(self, value: int) -> None:
        self.value = value


def test_inside_it_is_another_and_afterwards_as_before() -> None:
    held = Held()
    gate = Gate(lambda: held.value, held.put)
    with gate.with_value(9), gate.with_value(9):
        assert (held.value, gate.own()) == (9, 5)
    assert held.value == 5
    with gate.with_value(None):
        assert held.value == 5
    with pytest.raises(KeyError), gate.with_value(9):
        raise KeyError
    assert held.value == 5


def test_no_value_is_the_own_one_also_while_another_is_in_use() -> None:
    held = Held()
    gate = Gate(lambda: held.value, held.put)
    seen: list[int] = []

    def search() -> None:
        with gate.with_value(None):
            seen.append(held.value)

    with gate.with_value(9):
        waiting = threading.Thread(target=search)
        waiting.start()
        waiting.join(0.05)
        assert not seen
    waiting.join()
    assert seen == [5]
