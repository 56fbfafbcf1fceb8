"""ScaNN's configuration, a protocol buffer written as text, and what it says of a search."""

from typing import Union

from vecrecall.adapters.backends._protocol import SearchParam
from vecrecall.search._protocol import Metric

Fields = dict[str, Union[str, "Fields"]]

METRICS: dict[str, Metric] = {"DotProductDistance": "ip", "SquaredL2Distance": "l2"}


def parse(text: str) -> Fields:
    """Read the fields; of repeated ones the last."""
    top: Fields = {}
    open_ones = [top]
    for line in map(str.strip, text.splitlines()):
        if line == "}":
            open_ones.pop()
        elif line.endswith("{"):
            inner: Fields = {}
            open_ones[-1][line[:-1].strip()] = inner
            open_ones.append(inner)
        elif line:
            name, _, value = line.partition(":")
            open_ones[-1][name] = value.strip().strip('"')
    return top


def metric_of(config: Fields) -> Metric:
    """Find the metric that the distance stands for."""
    name = _at(config, "distance_measure", "distance_measure")
    if name not in METRICS:
        raise ValueError(f"index: expected a distance of {' or '.join(METRICS)}, got {name}")
    return METRICS[name]


def scans_floats(config: Fields) -> bool:
    """Tell whether every item is scored, once, in float32."""
    others = {"partitioning", "hash", "exact_reordering"} & config.keys()
    reduced = [_at(config, "brute_force", kind, "enabled") for kind in ("fixed_point", "bfloat16")]
    return "brute_force" in config and not others and "true" not in reduced


def search_params(config: Fields, n: int) -> dict[str, SearchParam]:
    """List the settings that have a meaning; others would end the process or be ignored."""
    found: dict[str, SearchParam] = {}
    if "partitioning" in config:
        leaves = _at(config, "partitioning", "num_children")
        found["leaves_to_search"] = SearchParam(1, max(1, int(leaves or 1)), "parts")
    if "exact_reordering" in config:
        found["pre_reorder_num_neighbors"] = SearchParam(1, n, "candidates")
    return found


def defaults(config: Fields) -> dict[str, int]:
    """Read the values that searches use where none are given."""
    places = {
        "leaves_to_search": ("partitioning", "query_spilling", "max_spill_centers"),
        "pre_reorder_num_neighbors": ("exact_reordering", "approx_num_neighbors"),
    }
    return {name: int(_at(config, *places[name]) or 1) for name in search_params(config, 1)}


def _at(config: Fields, *path: str) -> str:
    """Read a value, empty where there is none."""
    value: str | Fields = config
    for name in path:
        value = value.get(name, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, str) else ""
