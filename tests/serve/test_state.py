"""Changes survive restarts, folds, publications, rollbacks, changed settings and artifacts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import CONFIG, DIM, ITEMS, KEYS, USER_KEYS, other_system
from service_client import Client

import vecrecall as vr
from vecrecall.serve._config import ConfigError

ROW = [9.0] * DIM


def search(client: Any, k: int = 3, **fields: Any) -> Any:
    return client.post("/v1/search", vectors=[ROW], k=k, **fields)["items"][0]


def change(client: Any) -> None:
    client.post("/v1/items", operation="add", items=["new"], vectors={"tower": [ROW]})
    client.post("/v1/items", operation="remove", items=[KEYS[0], KEYS[1]])
    client.post("/v1/events", clusters=[0, 0], items=[KEYS[40], KEYS[41]], times=[1.0, 2.0])
    client.post("/v1/filters", name="mine", items=["new", KEYS[8]])


def everything(client: Any) -> Any:
    return (
        search(client, 300),
        search(client, 300, filters=["mine"]),
        client.post("/v1/recall", users=USER_KEYS, k=60)["items"],
        client.post("/v1/recall", users=USER_KEYS, k=60, filters=["mine"])["items"],
    )


def reopened(client: Client, path: Path, state: Path | None = None) -> Client:
    client.close()
    return Client(path, state=state)


@pytest.mark.parametrize("fold", [False, True], ids=["log", "folded"])
def test_a_restart(config: Path, fold: bool) -> None:
    client = Client(config)
    change(client)
    if fold:
        folded = client.post("/v1/versions", operation="fold")
        assert folded == {"version": 2, "position": 4}
        assert client.post("/v1/versions", operation="fold") == folded, "nothing is new"
    client.post("/v1/items", operation="add", items=["newer"], vectors={"tower": [ROW]})
    before = everything(client)
    for _ in range(2):
        client = reopened(client, config)
        assert everything(client) == before
        assert client.system.position == 5
    client.close()


def test_folding_by_itself(config: Path) -> None:
    config.write_text(CONFIG + "\n[state]\nfold_bytes = 100\nkeep_bytes = 0\n")
    client = Client(config)
    client.post("/v1/filters", name="mine", items=["n3"])
    for n in range(40):
        client.post("/v1/items", operation="add", items=[f"n{n}"], vectors={"tower": [ROW]})
    client.runtime._state._writer.fold()  # which waits for one that is in progress
    before = everything(client)
    state = Path(client.runtime._state._writer._store.path)
    assert len(list((state / "versions").iterdir())) == 1
    assert sum(file.stat().st_size for file in (state / "log").iterdir()) < 1000
    client = reopened(client, config)
    assert client.system.version > 1
    assert everything(client) == before
    client.close()


def test_publication_and_rollback(config: Path, tmp_path: Path) -> None:
    client = Client(config)
    change(client)
    before = everything(client)
    source = other_system(tmp_path / "other")
    done = client.post("/v1/versions", operation="publish", folder=str(source))
    assert (done["position"], done["replayed"], done["forgotten"]) == (5, 4, 0)
    expected = vr.FlatIndex(-ITEMS)
    expected.update([ROW], [300])
    expected.remove([0, 1])
    keys = [*KEYS, "new"]
    found = [keys[i] for i in expected.search([ROW], 300).ids[0] if i >= 0]
    assert search(client, 300) == found
    client.post("/v1/items", operation="add", items=["newer"], vectors={"tower": [ROW]})
    after = everything(client)
    client = reopened(client, source, config.parent / "state")
    assert everything(client) == after, "the newer artifacts are served again"
    back = client.post("/v1/versions", operation="rollback")
    assert back["replayed"] == 1
    assert search(client, 1, filters=["mine"]) == ["new"]
    client.post("/v1/items", operation="remove", items=["newer"])
    assert everything(client) == before
    client.post("/v1/versions", operation="rollback")  # and forth
    client.post("/v1/items", operation="update", items=["newer"], vectors={"tower": [ROW]})
    assert search(client, 300) == after[0]
    client.close()


def test_a_publication_since_a_change(config: Path, tmp_path: Path) -> None:
    client = Client(config)
    client.post("/v1/items", operation="add", items=["old"], vectors={"tower": [ROW]})
    client.post("/v1/items", operation="add", items=["new"], vectors={"tower": [ROW]})
    source = other_system(tmp_path / "other")
    done = client.post("/v1/versions", operation="publish", folder=str(source), since=1)
    assert done["replayed"] == 1
    assert {"old", "new"} & set(search(client, 400)) == {"new"}
    client.close()


def test_a_publication_since_long_before(config: Path, tmp_path: Path) -> None:
    """The log has what came before the last publication too."""
    client = Client(config)
    source = str(other_system(tmp_path / "other"))
    for key in ("old", "new"):
        client.post("/v1/items", operation="add", items=[key], vectors={"tower": [ROW]})
        client.post("/v1/versions", operation="publish", folder=source)
    assert {"old", "new"} & set(search(client, 400)) == {"new"}
    done = client.post("/v1/versions", operation="publish", folder=source, since=0)
    assert (done["replayed"], done["forgotten"]) == (2, 0)
    assert {"old", "new"} <= set(search(client, 400))
    client.close()


def test_a_rollback_over_folds(config: Path, tmp_path: Path) -> None:
    """A fold leaves in the log what a rollback applies again, also where it fills the log."""
    config.write_text(CONFIG + "\n[state]\nfold_bytes = 300\nkeep_bytes = 300\n")
    client = Client(config)
    source = str(other_system(tmp_path / "other"))
    client.post("/v1/versions", operation="publish", folder=source)
    for key in ("a", "b", "c"):
        client.post("/v1/items", operation="add", items=[key], vectors={"tower": [ROW]})
        client.post("/v1/versions", operation="fold")
    back = client.post("/v1/versions", operation="rollback")
    assert (back["replayed"], back["forgotten"]) == (3, 0)
    assert {"a", "b", "c"} <= set(search(client, 400))
    client.close()


def test_a_publication_since_what_is_not_there_yet(config: Path, tmp_path: Path) -> None:
    """It would leave out changes that are still to come."""
    client = Client(config)
    client.post("/v1/items", operation="add", items=["old"], vectors={"tower": [ROW]})
    source = str(other_system(tmp_path / "other"))
    request = {"operation": "publish", "folder": source, "since": 2}
    error = client.refused(400, "/v1/versions", request)
    assert error["message"] == "since: expected at most 1, the last position, got 2"
    client.post("/v1/versions", operation="publish", folder=source, since=1)
    client.post("/v1/items", operation="add", items=["new"], vectors={"tower": [ROW]})
    client = reopened(client, config)
    assert {"old", "new"} & set(search(client, 400)) == {"new"}
    client.close()


@pytest.mark.parametrize("started", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize(
    "mistake", [("u2i = 3, ", ""), ("u2i = 3", "u2i = -3"), ('path = "table"', 'path = "index"')]
)
def test_a_mistake_spoils_no_state(config: Path, started: bool, mistake: tuple[str, str]) -> None:
    """A version that cannot be loaded is neither served from then on nor kept."""
    state = config.parent / "state"
    if started:
        client = Client(config)
        client.post("/v1/items", operation="add", items=["new"], vectors={"tower": [ROW]})
        client.close()
    assert mistake[0] in CONFIG
    config.write_text(CONFIG.replace(*mistake))
    for _ in range(2):
        with pytest.raises(ConfigError):
            Client(config)
        assert len(list(state.glob("versions/*"))) == started
    config.write_text(CONFIG)
    client = Client(config)
    assert ("new" in search(client, 400)) == started
    client.close()


def test_a_bad_publication_changes_nothing(config: Path, tmp_path: Path) -> None:
    client = Client(config)
    change(client)
    before = everything(client)
    source = other_system(tmp_path / "other")
    (tmp_path / "other" / "even.json").write_text("{}")
    error = client.refused(400, "/v1/versions", {"operation": "publish", "folder": str(source)})
    assert "filters.even" in error["message"]
    assert len(list((config.parent / "state" / "versions").iterdir())) == 1  # what is served
    (tmp_path / "other" / "service.toml").write_text("x = 1")
    error = client.refused(400, "/v1/versions", {"operation": "publish", "folder": str(source)})
    assert "x: expected a known field" in error["message"]
    assert everything(client) == before
    client = reopened(client, config)
    assert everything(client) == before
    client.close()


def test_changed_settings(config: Path) -> None:
    """Another policy is served with the changes of before."""
    client = Client(config)
    change(client)
    before = everything(client)
    client.close()
    config.write_text(CONFIG.replace("hot = 1", "hot = 50") + "\n[filters.two]\nitems = ['new']\n")
    client = Client(config)
    after = everything(client)
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert search(client, filters=["two"]) == ["new"]
    config.write_text(CONFIG)
    client = reopened(client, config)
    assert everything(client) == before
    client.close()


def test_changed_artifacts_are_published_at_the_start(config: Path) -> None:
    client = Client(config)
    change(client)
    client.close()
    vr.FlatIndex(-ITEMS).save(config.parent / "index", vocabulary=vr.Vocabulary(KEYS))
    client = Client(config)
    expected = vr.FlatIndex(-ITEMS)
    expected.update([ROW], [300])
    expected.remove([0, 1])
    keys = [*KEYS, "new"]
    assert search(client, 300) == [keys[i] for i in expected.search([ROW], 300).ids[0] if i >= 0]
    assert search(client, filters=["mine"]) == ["new", KEYS[8]]
    client = reopened(client, config)
    assert search(client, 1) == ["new"]
    client.post("/v1/versions", operation="rollback")
    assert search(client, 2, filters=["mine"])[0] == "new"
    client.close()


def test_one_service_per_state(config: Path) -> None:
    client = Client(config)
    with pytest.raises(BlockingIOError, match="another process writes the log"):
        Client(config)
    client.close()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path = "index"', 'path = "nowhere"', "indexes.tower"),
        ('path = "index"', 'path = "table"', "indexes.tower"),
        ('table = "similar"', 'table = "other"', "channels.i2i.table"),
        ('kind = "popularity"', 'kind = "luck"', "channels.hot.kind: .*'item_to_item', .*'feed'"),
        ('name = "RRF"', 'name = "Luck"', "policy.name: .*'RRF', 'WeightedSum'"),
        ('clock = "events"', 'clock = "sun"', "feeds.kind.clock: expected one of 'events', 'wall'"),
        ("hot = 1", "cold = 1", "policy.weights"),
        ("hot = 1", "hot = -1", "policy"),
        ("half_life = 100.0", "half_life = 0", "feeds.kind.half_life"),
        ("depth = 50", "depth = 50\ndeep = 2", "deep"),
        ('path = "index"', 'path = "index"\nprobes = 2', "indexes.tower: .*an IVFIndex"),
        ('path = "index"', 'path = "index"\nprobes = 0', "indexes.tower.probes"),
        ('path = "index"', 'path = "index"\nprobes = "all"', "indexes.tower.probes"),
        ("[policy]", "[policy", "expected TOML"),
    ],
)
def test_bad_configurations(config: Path, old: str, new: str, message: str) -> None:
    config.write_text(CONFIG.replace(old, new, 1))
    with pytest.raises((ConfigError, OSError), match=message):
        Client(config)


def test_numbers_for_keys(tmp_path: Path) -> None:
    """Without a vocabulary items and users are numbers."""
    from served import write_plain

    client = Client(write_plain(tmp_path, ITEMS))
    reply = client.post("/v1/recall", vectors={"user": ITEMS[:2].tolist()}, seen=[[0], [5]], k=4)
    assert (
        reply["items"] == vr.FlatIndex(ITEMS).search(ITEMS[:2], 4, exclude=[[0], [5]]).ids.tolist()
    )
    client.post("/v1/items", operation="add", items=[2**62], vectors={"main": [ROW]})
    assert client.post("/v1/search", vectors=[ROW], k=1)["items"] == [[2**62]]
    error = client.refused(400, "/v1/recall", {"users": ["a"]})
    assert error["field"] == "users[0]"
    assert client.post("/v1/recall", users=[3])["items"] == [[]]
    np.testing.assert_array_equal(client.system.parts.indexes["main"].contains([2**62]), [True])
    client.close()


def test_a_log_that_cannot_be_written(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates are refused and recall goes on; once there is room again, updates are taken."""
    from vecrecall.serve import _writer
    from vecrecall.storage import _log

    client = Client(config)
    change(client)
    row = {"tower": [ROW]}
    before = everything(client)
    full = OSError(28, "No space left on device")

    def fsync(file: int) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(_log.os, "fsync", fsync)
        for name in ("lost", "lost too"):
            body = {"operation": "add", "items": [name], "vectors": row}
            response = client.http.post("/v1/items", json=body)
            assert response.status_code == 503
            assert response.headers["retry-after"]
            assert "log cannot be written" in response.json()["error"]["message"]
        assert client.http.get("/readyz").status_code == 200
        assert client.http.post("/v1/versions", json={"operation": "fold"}).status_code in (
            200,
            503,
        )
        assert everything(client) == before
    monkeypatch.setattr(_writer, "_AGAIN", 0.0)
    client.post("/v1/items", operation="add", items=["kept"], vectors=row)
    after = everything(client)
    assert "kept" in after[0]
    client = reopened(client, config)
    assert everything(client) == after
    client.close()


def test_a_disk_that_hangs(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds are refused after a while, and made once it works."""
    from vecrecall.serve import _writer
    from vecrecall.storage import _log

    client = Client(config)
    change(client)
    works, hangs = threading.Event(), threading.Event()

    def fsync(file: int) -> None:
        hangs.set()
        works.wait(60)

    with ThreadPoolExecutor() as others, monkeypatch.context() as patch:
        patch.setattr(_log.os, "fsync", fsync)
        row = {"tower": [ROW]}
        update = others.submit(client.post, "/v1/items", operation="add", items=["x"], vectors=row)
        assert hangs.wait(60)
        patch.setattr(_writer, "_WAIT_SECONDS", 0.1)
        patch.setattr(_writer, "_ADMIN_SECONDS", 0.1)
        fold = {"operation": "fold"}
        response = client.http.post("/v1/versions", json=fold)
        assert response.status_code == 503
        assert "nothing was changed" in response.json()["error"]["message"]
        with client.service._changes._state._writer._alone():
            response = client.http.post("/v1/versions", json=fold)
            assert response.status_code == 503
            assert response.headers["retry-after"]
            assert "in progress" in response.json()["error"]["message"]
        works.set()
        assert update.result()["position"] == 5
    assert client.post("/v1/versions", operation="fold") == {"version": 2, "position": 5}
    after = everything(client)
    client = reopened(client, config)
    assert everything(client) == after
    client.close()


def test_a_fold_that_fails(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process cannot read the version, or is too slow: that is told, and nothing changes."""
    from vecrecall.serve import _writer

    client = Client(config)
    change(client)
    before = everything(client)
    store = client.service._changes._state._writer._store
    aside = store.folder(1).rename(store.path / "aside")
    fold = {"operation": "fold"}
    response = client.http.post("/v1/versions", json=fold)
    assert response.status_code == 503
    assert "FileNotFoundError" in response.json()["error"]["message"]
    aside.rename(store.folder(1))
    with monkeypatch.context() as patch:
        patch.setattr(_writer, "_FOLD_IDLE_SECONDS", 0.001)
        patch.setattr(_writer, "_FOLD_SECONDS", 0.001)
        response = client.http.post("/v1/versions", json=fold)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert "longer than 0.001 seconds" in response.json()["error"]["message"]
    assert client.system.position == 4
    assert client.post("/v1/versions", operation="fold") == {"version": 2, "position": 4}
    client = reopened(client, config)
    assert everything(client) == before
    client.close()


def test_a_fold_that_others_leave_nothing(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins again with a share of its own."""
    from vecrecall.serve import _lifeline, _writer

    client = Client(config)
    change(client)
    before = everything(client)
    tries: list[bool] = []

    def output_of(*arguments: Any, idle: bool, **rest: Any) -> str:
        tries.append(idle)
        return _lifeline.output_of(*arguments, idle=idle, **rest)

    monkeypatch.setattr(_writer, "output_of", output_of)
    monkeypatch.setattr(_writer, "_FOLD_IDLE_SECONDS", 0.001)
    assert client.post("/v1/versions", operation="fold")["position"] == 4
    assert tries == [True, False]
    client = reopened(client, config)
    assert everything(client) == before
    client.close()


def test_the_age_of_artifacts_is_that_of_their_version(config: Path) -> None:
    """Not that of the process."""
    client = Client(config)
    made_at = client.system.made_at
    client = reopened(client, config)
    assert client.system.made_at == made_at
    change(client)
    client.post("/v1/versions", operation="fold")
    client = reopened(client, config)
    assert client.system.made_at > made_at
    text = client.http.get("/metrics").text
    changed = 'vecrecall_artifact_changed_timestamp_seconds{artifact="indexes.tower"}'
    (line,) = [line for line in text.splitlines() if line.startswith(changed)]
    assert float(line.split()[-1]) == client.system.made_at
    client.close()


def test_changes_that_do_not_fit_another_version(tmp_path: Path) -> None:
    """They are left out of it, and are there again after the rollback."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder, metric, keys in zip(folders, ("ip", "cosine"), (KEYS, range(300)), strict=True):
        vocabulary = vr.Vocabulary(list(keys))
        vr.FlatIndex(ITEMS, metric=metric).save(folder / "index", vocabulary=vocabulary)  # type: ignore[arg-type]
        (folder / "service.toml").write_text('[indexes.main]\npath = "index"\n')
    client = Client(folders[0] / "service.toml", state=tmp_path / "state")
    vectors = {"main": [[0.0] * DIM, ROW]}
    client.post("/v1/items", operation="add", items=["zero", "new"], vectors=vectors)
    source = str(folders[1] / "service.toml")
    done = client.post("/v1/versions", operation="publish", folder=source)
    assert (done["replayed"], done["forgotten"]) == (0, 0)
    vectors = {"main": [ROW]}
    client.post("/v1/items", operation="add", items=[300], vectors=vectors)
    client = reopened(client, folders[1] / "service.toml", tmp_path / "state")
    assert client.post("/v1/search", vectors=[ROW], k=1)["items"] == [[300]]
    client.post("/v1/versions", operation="rollback")
    found = client.post("/v1/search", vectors=[ROW], k=302)["items"][0]
    assert found[0] == "new"
    assert "zero" in found
    assert len(found) == 302
    client.close()


def test_zeros_are_left_out_of_cosines(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder, metric in zip(folders, ("ip", "cosine"), strict=True):
        vr.FlatIndex(ITEMS, metric=metric).save(folder / "index")  # type: ignore[arg-type]
        (folder / "service.toml").write_text('[indexes.main]\npath = "index"\n')
    client = Client(folders[0] / "service.toml")
    vectors = {"main": [[0.0] * DIM, ROW]}
    client.post(
        "/v1/items", operation="add", items=[300, 301], vectors=vectors, bias={"main": [7.0, 8.0]}
    )
    source = str(folders[1] / "service.toml")
    done = client.post("/v1/versions", operation="publish", folder=source)
    assert done["replayed"] == 1
    reply = client.post("/v1/search", vectors=[ROW], k=302)
    assert reply["items"][0][0] == 301
    assert 300 not in reply["items"][0]
    assert reply["scores"][0][0] == 9.0  # the cosine and the bias
    client.close()


def test_filters_stay_through_several_publications(config: Path, tmp_path: Path) -> None:
    client = Client(config)
    client.post("/v1/filters", name="mine", items=[KEYS[3], KEYS[8]])
    client.post("/v1/filters", name="gone", items=[KEYS[3]])
    client.post("/v1/filters", name="even", items=[KEYS[5]])
    sources = [other_system(tmp_path / "other"), config]
    client.post("/v1/versions", operation="publish", folder=str(sources[0]))
    assert search(client, filters=["even"]) == [KEYS[5]], "changed since the last publication"
    client.post("/v1/filters", name="gone", operation="delete")
    client.post("/v1/filters", name="mine", operation="remove", items=[KEYS[8]])
    for source in (sources[1], sources[0]):
        client.post("/v1/versions", operation="publish", folder=str(source))
        assert search(client, filters=["mine"]) == [KEYS[3]]
        assert set(client.system.filters) == {"mine", "even"}
    assert search(client, 300, filters=["even"]) != [KEYS[5]], "that of the artifacts"
    client = reopened(client, config, config.parent / "state")  # which publishes them
    assert search(client, filters=["mine"]) == [KEYS[3]]
    client.post("/v1/versions", operation="rollback")
    assert search(client, filters=["mine"]) == [KEYS[3]]
    client.close()


def test_versions_that_were_switched_to_before_the_current_one(
    config: Path, tmp_path: Path
) -> None:
    """They are in the log that is read at the start, and their files are gone."""
    client = Client(config)
    change(client)
    source = str(other_system(tmp_path / "other"))
    for operation in ("publish", "rollback", "publish", "rollback", "publish"):
        folder = {"folder": source, "since": 0} if operation == "publish" else {}
        client.post("/v1/versions", operation=operation, **folder)
    before = everything(client)
    client = reopened(client, Path(source), config.parent / "state")
    assert everything(client) == before
    client.post("/v1/versions", operation="rollback")
    before = everything(client)
    client = reopened(client, Path(source), config.parent / "state")
    assert everything(client) == before
    client.close()


def test_publications_and_rollbacks_outlive_the_service(config: Path, tmp_path: Path) -> None:
    client = Client(config)
    change(client)
    first = everything(client)
    source = str(other_system(tmp_path / "other"))
    client.post("/v1/versions", operation="publish", folder=source)
    second = everything(client)
    for _ in range(2):
        client = reopened(client, config)
        assert everything(client) == second
    client.post("/v1/versions", operation="rollback")
    for _ in range(2):
        client = reopened(client, config)
        assert everything(client) == first
    client.close()
