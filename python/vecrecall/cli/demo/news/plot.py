"""The map of places: where they lie, and how near their vectors are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.news.gazetteer import HOME, Cities
from vecrecall.storage._figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

NAMED = 40
"""Number of places that are named, the most frequent ones."""

FloatArray = npt.NDArray[np.float64]


def save(cities: Cities, vectors: npt.NDArray[np.float32], path: Path, font: str | None) -> None:
    """Write the map of places as PNG.

    Parameters
    ----------
    cities : Cities
        At least three.
    vectors : ndarray of float32, shape (n, d)
        In the order of `cities`.
    path : Path
    font : str, optional
        File of a font that can write their names; Latin letters without it.

    Raises
    ------
    DemoError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure  # not pyplot, which has windows and global state
    from matplotlib.font_manager import FontProperties

    figure = Figure(figsize=(20, 15), layout="constrained")
    world, (home, plane) = _panels(figure)
    names = cities.names if font else cities.latin
    properties = FontProperties(fname=font) if font else FontProperties()
    at_home = np.array([region == HOME for region in cities.regions])
    on_map = np.c_[cities.longitudes, cities.latitudes]
    flat = _in_plane(vectors)
    nearest = _nearest(vectors)
    _map(world, cities, on_map, nearest, np.ones(len(cities), np.bool_))
    _label(world, on_map, names, np.flatnonzero(~at_home), properties)
    world.set_title("Each place, and a line to the place with the nearest vector")
    world.legend(loc="lower left", frameon=False)
    if at_home.any():
        _map(home, cities, on_map, nearest, at_home)
        _label(home, on_map, names, np.flatnonzero(at_home), properties)
    home.set_title(f"The same within {HOME}")
    _scatter(plane, cities, flat)
    _label(plane, flat, names, np.arange(len(cities)), properties)
    plane.set_title("The vectors, on their two main axes")
    plane.set_xticks([])
    plane.set_yticks([])
    try:
        save_figure(figure, path, "png")
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror}") from error


def _panels(figure: Figure) -> tuple[Axes, tuple[Axes, Axes]]:
    grid = figure.add_gridspec(2, 2)
    top = figure.add_subplot(grid[0, :])
    return top, (figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1]))


def _map(
    axes: Axes,
    cities: Cities,
    on_map: FloatArray,
    nearest: npt.NDArray[np.int64],
    shown: npt.NDArray[np.bool_],
) -> None:
    for row in np.flatnonzero(shown & shown[nearest]):
        x, y = on_map[[row, nearest[row]]].T
        axes.plot(x, y, color="0.8", linewidth=0.8, zorder=0)
    _scatter(axes, cities, on_map)
    low, high = on_map[shown].min(axis=0) - 2, on_map[shown].max(axis=0) + 2
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xlabel("longitude")
    axes.set_ylabel("latitude")


def _scatter(axes: Axes, cities: Cities, points: FloatArray) -> None:
    regions = np.array(cities.regions)
    for region in sorted(set(cities.regions), key=lambda name: (name != HOME, name)):
        x, y = points[regions == region].T
        axes.scatter(x, y, s=20, label=region)


def _label(
    axes: Axes,
    points: FloatArray,
    names: list[str],
    rows: npt.NDArray[np.int64],
    properties: FontProperties,
) -> None:
    for row in rows[:NAMED]:
        axes.annotate(
            names[row],
            points[row],
            xytext=(3, 3),
            textcoords="offset points",
            fontproperties=properties,
            fontsize=9,
            annotation_clip=True,
        )


def _nearest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    cosines = _unit(vectors) @ _unit(vectors).T
    np.fill_diagonal(cosines, -np.inf)
    return np.asarray(cosines.argmax(axis=1))


def _in_plane(vectors: npt.NDArray[np.float32]) -> FloatArray:
    rows = _unit(vectors)
    left, lengths, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return np.asarray(left[:, :2] * lengths[:2])


def _unit(vectors: npt.NDArray[np.float32]) -> FloatArray:
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float64).tiny))
