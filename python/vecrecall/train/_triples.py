"""Triples of a knowledge graph as numbers, and which answers are known."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.train._columns import Column, check_keys, number

Ints = npt.NDArray[np.int64]


class Triples(NamedTuple):
    """Numbers of heads, relations and tails."""

    heads: Ints
    relations: Ints
    tails: Ints


def check_triples(
    heads: Column, relations: Column, tails: Column
) -> tuple[list[Hashable], list[Hashable], list[Hashable]]:
    """Return three columns of keys of one length, at least one row."""
    first = check_keys(heads, "heads")
    if not first:
        raise ValueError("heads: expected at least one triple, got none")
    return (
        first,
        check_keys(relations, "relations", len(first)),
        check_keys(tails, "tails", len(first)),
    )


def numbered(
    heads: list[Hashable],
    relations: list[Hashable],
    tails: list[Hashable],
    entity_of: Mapping[Hashable, int],
    relation_of: Mapping[Hashable, int],
) -> Triples:
    """Return the numbers of keys, -1 for unknown ones."""
    return Triples(
        number(heads, entity_of), number(relations, relation_of), number(tails, entity_of)
    )


class AnswerTable:
    """The known entities on one side of triples, by what is on the other.

    Parameters
    ----------
    given, relations, answers : ndarray of int64, shape (n,)
    n_relations : int
    """

    def __init__(self, given: Ints, relations: Ints, answers: Ints, n_relations: int) -> None:
        self._n_relations = n_relations
        pairs = np.unique(np.stack([given * n_relations + relations, answers]), axis=1)
        self._keys, self._answers = pairs

    def of(self, given: Ints, relations: Ints, place_of: Ints) -> tuple[Ints, Ints]:
        """Return rows of questions and the places of their known answers, one pair per answer.

        Parameters
        ----------
        given, relations : ndarray of int64, shape (m,)
        place_of : ndarray of int64
            Of each entity; answers with a place of -1 are left out.
        """
        keys = given * self._n_relations + relations
        # Each question once, since many rows may ask for the same many answers.
        questions: Ints
        questions, question_of = np.unique(keys, return_inverse=True)
        begins = np.searchsorted(self._keys, questions, "left")
        counts = np.searchsorted(self._keys, questions, "right") - begins
        question, at = _ranges(begins, counts)
        places = place_of[self._answers[at]]
        question, places = question[places >= 0], places[places >= 0]
        sizes = np.bincount(question_of)
        first = np.cumsum(sizes) - sizes
        pair, at = _ranges(first[question], sizes[question])
        return np.argsort(question_of, kind="stable")[at], places[pair]


def _ranges(begins: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return the numbers of ranges, and what is in them."""
    of = np.repeat(np.arange(len(counts)), counts)
    return of, np.arange(len(of)) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
