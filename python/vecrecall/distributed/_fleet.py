"""The actors of an index: where they are placed, and calls to them that always come to an end."""

import math
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vecrecall.distributed import _ray, _wire
from vecrecall.distributed._actors import Replica, Writer
from vecrecall.distributed._errors import ClosedError, MissingShardsError, PlacementError
from vecrecall.distributed._ray import Deadline

_SLICE = 0.02  # seconds between looks at calls that were lost
_DOWN = 1.0  # seconds in which a replica that died is not asked first
# A late replica is not asked first for so many times what it was waited for, or until it answers:
# waiting takes a small part of the time then.
_LATE = 20
_PAUSE = 0.05  # before a shard is asked again whose actor is being started
# Of the CPUs of a cluster what actors take by default: a swap needs as much again, tasks some too.
_SHARE = 4
_GRAIN = 1e-4  # of CPUs, as Ray counts them
_MORE = 0.5  # of the time that is left, where some answers would do and there is none
_CALLS_AT_ONCE = 4


class Resources(NamedTuple):
    """The resources that each replica asks for.

    Attributes
    ----------
    replicas, threads : int
    num_cpus : float
    memory : int or None
    chosen : bool
        Whether `num_cpus` was not given.
    """

    replicas: int
    threads: int
    num_cpus: float
    memory: int | None
    chosen: bool = False

    def of(self, n_shards: int) -> "Resources":
        """Return those for another number of shards."""
        cpus = None if self.chosen else self.num_cpus
        return resources_for(n_shards, self.replicas, self.threads, cpus, self.memory)

    def bundle(self) -> dict[str, float]:
        """Say it as Ray does."""
        asked = {"CPU": self.num_cpus, "memory": float(self.memory or 0)}
        return {name: of for name, of in asked.items() if of > 0}


def resources_for(
    n_shards: int, replicas: int, threads: int | None, num_cpus: float | None, memory: int | None
) -> Resources:
    """Choose what is not given: a CPU each, or like shares of a part of the cluster's."""
    chosen = num_cpus is None
    if num_cpus is None:
        total = float(_ray.started().cluster_resources().get("CPU", 0.0))
        share = math.floor(total / (_SHARE * n_shards * replicas) / _GRAIN) * _GRAIN
        num_cpus = min(1.0, round(share, 4))
    return Resources(replicas, threads or max(1, int(num_cpus)), num_cpus, memory, chosen)


class Fleet:
    """Replicas and writers of so many shards.

    Parameters
    ----------
    name : str
        By which other processes find the actors.
    n_shards : int
    resources : Resources
    fold_bytes : int
        Of the writers.
    groups : list
        The placement groups, where this process has made them.
    """

    def __init__(
        self, name: str, n_shards: int, resources: Resources, fold_bytes: int, groups: list[Any]
    ) -> None:
        self.name = name
        self.n_shards = n_shards
        self.resources = resources
        self.fold_bytes = fold_bytes
        self._groups = groups
        self._session = _ray.session()
        self._replicas: dict[tuple[int, int], Any] = {}
        self._writers: dict[int, Any] = {}
        self._turn = 0
        self._down: dict[tuple[int, int], float] = {}  # until when a replica is not asked first
        self._owed: dict[tuple[int, int], Any] = {}  # the call that made a replica late

    @classmethod
    def placed(
        cls, n_shards: int, resources: Resources, fold_bytes: int, deadline: Deadline
    ) -> "Fleet":
        """Start the actors of new replicas, those of a shard on different nodes where there are.

        Raises
        ------
        PlacementError
            If there is no room for them before the deadline.
        """
        groups = _groups(n_shards, resources, deadline)
        fleet = cls(uuid.uuid4().hex[:16], n_shards, resources, fold_bytes, groups)
        ray = _ray.ray()
        actor = ray.remote(Replica)
        for shard in range(n_shards):
            for i in range(resources.replicas):
                options = {
                    "name": fleet._actor_name(shard, i),
                    "namespace": _ray.NAMESPACE,
                    "num_cpus": resources.num_cpus,
                    "memory": resources.memory,
                    "max_restarts": -1,
                    "max_concurrency": _CALLS_AT_ONCE,
                    "scheduling_strategy": "SPREAD",
                    "enable_task_events": False,  # a record of each call for Ray's dashboard
                }
                if groups:
                    strategies = ray.util.scheduling_strategies
                    options["scheduling_strategy"] = strategies.PlacementGroupSchedulingStrategy(
                        placement_group=groups[shard], placement_group_bundle_index=i
                    )
                handle = actor.options(**options).remote(resources.threads)
                fleet._replicas[shard, i] = handle
        return fleet

    def ask(
        self,
        method: str,
        calls: Mapping[int, tuple[Any, ...]],
        deadline: Deadline,
        enough: Deadline | None = None,
    ) -> tuple[dict[int, Any], dict[int, str]]:
        """Call one replica of each shard; ask another one where it dies or is late.

        A replica is late after its part of the time that is left, or that is left until some
        answers will do; others are asked first for a while then.

        Parameters
        ----------
        method : str
        calls : dict
            The arguments for each shard that is asked.
        deadline : Deadline
        enough : Deadline, optional
            From when on the answers of some shards will do; default never. Where there is none
            yet, half of the time that is left is waited for one, and so on.

        Returns
        -------
        dict, dict
            Answers, and why others are missing.

        Raises
        ------
        MissingShardsError
            If some are missing, and all are needed.
        Exception
            What a call raises.
        """
        replicas = self.resources.replicas
        used: dict[Any, tuple[int, int]] = {}
        tried = {shard: [0] * replicas for shard in calls}

        def start(shard: int, attempt: int) -> Any:
            turns = [(self._turn + i) % replicas for i in range(replicas)]
            least = min(turns, key=lambda i: (tried[shard][i], not self._is_up(shard, i)))
            tried[shard][least] += 1
            chosen = shard, least
            call = getattr(self._replica(*chosen), method).remote(*calls[shard])
            used[call] = chosen
            return call

        def lost(call: Any) -> None:
            self._down[used[call]] = time.monotonic() + _DOWN
            self._owed.pop(used[call], None)

        def late(call: Any, seconds: float) -> None:
            self._down[used[call]] = time.monotonic() + _LATE * seconds
            self._owed[used[call]] = call

        self._turn += 1
        return self._gather(start, set(calls), deadline, method, enough, replicas, lost, late)

    def ask_all(self, method: str, calls: Mapping[int, tuple[Any, ...]], deadline: Deadline) -> Any:
        """Call every replica of each shard, and wait for all of them."""
        answers = []
        for i in range(self.resources.replicas):

            def start(shard: int, attempt: int, i: int = i) -> Any:
                return getattr(self._replica(shard, i), method).remote(*calls[shard])

            answers.append(self._gather(start, set(calls), deadline, method, None, 1)[0])
        return answers

    def tell_all(self, method: str, shard: int, arguments: tuple[Any, ...]) -> None:
        """Call every replica of a shard, and do not wait."""
        for i in range(self.resources.replicas):
            try:
                getattr(self._replica(shard, i), method).remote(*arguments)
            except (_ray.ray().exceptions.RayError, ValueError):
                continue  # it is being started again, and reads all changes then

    def write(
        self, method: str, calls: Mapping[int, tuple[Any, ...]], deadline: Deadline
    ) -> tuple[dict[int, Any], dict[int, str]]:
        """Call the writer of each shard, again where it dies: a change has a token."""

        def start(shard: int, attempt: int) -> Any:
            handle = self._writers.get(shard)
            if attempt and handle is not None and not self._lives(handle):
                del self._writers[shard]  # it was ended, and not by a crash
            return getattr(self._writer(shard), method).remote(*calls[shard])

        return self._gather(start, set(calls), deadline, method, deadline, 1)

    def check_connected(self) -> None:
        """Raise `ClosedError` where Ray has ended, or another one runs."""
        if _ray.session() != self._session:
            raise ClosedError(
                "Ray: expected the one that the index was connected to, got another; call "
                "vecrecall.distributed.connect again"
            )

    def end_writers(self) -> None:
        """End the writers; the next change starts new ones."""
        ray = _ray.ray()
        for shard in range(self.n_shards):
            try:
                ray.kill(ray.get_actor(self._writer_name(shard), namespace=_ray.NAMESPACE))
            except ValueError:
                continue
        self._writers.clear()

    def close(self) -> None:
        """End all actors, and give their places back."""
        ray = _ray.ray()
        if not ray.is_initialized() or _ray.session() != self._session:
            return
        self.end_writers()
        for replica in self._replicas.values():
            ray.kill(replica)
        for group in self._groups:
            ray.util.remove_placement_group(group)
        self._groups = []
        self._replicas.clear()

    def _is_up(self, shard: int, i: int) -> bool:
        """Tell whether a replica may be asked first: it was not lost or late, or has answered."""
        if self._down.get((shard, i), 0.0) <= time.monotonic():
            self._owed.pop((shard, i), None)  # its answer is wanted no more
            return True
        call = self._owed.get((shard, i))
        if call is None or not _ray.ray().wait([call], timeout=0)[0]:
            return False
        self._owed.pop((shard, i), None)
        self._down.pop((shard, i), None)
        return True

    def _gather(
        self,
        start: Callable[[int, int], Any],
        shards: set[int],
        deadline: Deadline,
        what: str,
        enough: Deadline | None,
        replicas: int,
        lost: Callable[[Any], None] = lambda call: None,
        late: Callable[[Any, float], None] = lambda call, seconds: None,
    ) -> tuple[dict[int, Any], dict[int, str]]:
        """Call until every shard has answered, or the time is up."""
        ray = _ray.ray()
        answers: dict[int, Any] = {}
        missing: dict[int, str] = {}
        asked: dict[Any, int] = {}  # calls that may still be answered
        last: dict[int, Any] = {}  # of these, of each shard
        begun: dict[int, float] = {}
        soon = enough or deadline
        patience = soon.left / replicas
        attempts = dict.fromkeys(shards, 0)
        while shards - answers.keys() and not deadline.passed:
            now = time.monotonic()
            if soon.passed:
                if answers:
                    break
                soon = deadline.share(_MORE)
            for shard in sorted(shards - answers.keys()):
                waiting = sum(of == shard for of in asked.values())
                if waiting:
                    if waiting >= replicas or now < begun[shard] + patience:
                        continue
                    late(last[shard], patience)
                begun[shard] = now
                try:
                    last[shard] = start(shard, attempts[shard])
                    asked[last[shard]] = shard
                except (ray.exceptions.RayError, ValueError) as error:
                    missing[shard] = _short(error)
                attempts[shard] += 1
            if len(asked) == len(shards) and max(attempts.values()) == 1:
                _collect_at_once(ray, asked, answers, min(patience, soon.left))
            died = self._collect(ray, asked, answers, missing, deadline) if asked else []
            for call in died:
                lost(call)
            again = [shard for shard in shards - answers.keys() if shard not in asked.values()]
            if again and min(attempts[shard] for shard in again) >= replicas:
                time.sleep(min(_PAUSE, deadline.left))
        waited = deadline.seconds - deadline.left
        reasons = {
            shard: missing.get(shard, f"no answer within {waited:.4g} s")
            for shard in sorted(shards - answers.keys())
        }
        if reasons and enough is None:
            raise missing_error(what, reasons, deadline)
        return answers, reasons

    def _collect(
        self,
        ray: Any,
        asked: dict[Any, int],
        answers: dict[int, Any],
        missing: dict[int, str],
        deadline: Deadline,
    ) -> list[Any]:
        """Take what is answered within a moment; return the calls that were lost."""
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=min(_SLICE, deadline.left))
        lost: list[Any] = []
        for ref in ready:
            shard = asked.pop(ref)
            try:
                answers[shard] = _wire.unpacked(ray.get(ref, timeout=max(1.0, deadline.left)))
            except ray.exceptions.RayTaskError as error:
                inner = _ray.cause(error)
                if not isinstance(inner, (BlockingIOError, ray.exceptions.RayError)):
                    raise inner from None
                missing[shard] = _short(inner)
                lost.append(ref)
            except ray.exceptions.RayError as error:
                missing[shard] = _short(error)
                lost.append(ref)
        for ref in [ref for ref, shard in asked.items() if shard in answers]:
            del asked[ref]
        return lost

    def _lives(self, handle: Any) -> bool:
        """Tell an actor that Ray starts again from one that was ended."""
        ray = _ray.ray()
        ready, _ = ray.wait([handle.ping.remote()], timeout=_SLICE)
        try:
            ray.get(ready, timeout=_SLICE)
        except ray.exceptions.ActorDiedError:
            return False
        except ray.exceptions.RayError:
            return True
        return True

    def _replica(self, shard: int, i: int) -> Any:
        found = self._replicas.get((shard, i))
        if found is None:
            name = self._actor_name(shard, i)
            found = self._replicas[shard, i] = _ray.ray().get_actor(name, _ray.NAMESPACE)
        return found

    def _writer(self, shard: int) -> Any:
        found = self._writers.get(shard)
        if found is None:
            actor = (
                _ray.ray()
                .remote(Writer)
                .options(
                    name=self._writer_name(shard),
                    namespace=_ray.NAMESPACE,
                    get_if_exists=True,
                    num_cpus=0,
                    max_restarts=-1,
                )
            )
            found = self._writers[shard] = actor.remote(self.fold_bytes)
        return found

    def _actor_name(self, shard: int, i: int) -> str:
        return f"{self.name}-{shard}-{i}"

    def _writer_name(self, shard: int) -> str:
        return f"{self.name}-{shard}-writer"


def _collect_at_once(
    ray: Any, asked: dict[Any, int], answers: dict[int, Any], seconds: float
) -> None:
    """Take all answers as they come, which is quicker; none where a call fails or is late."""
    refs = list(asked)
    try:
        found = ray.get(refs, timeout=seconds)
    except Exception:  # as soon as a call fails; which one, and why, is looked at one by one
        return
    for ref, answer in zip(refs, found, strict=True):
        answers[asked.pop(ref)] = _wire.unpacked(answer)


def missing_error(what: str, reasons: Mapping[int, str], deadline: Deadline) -> MissingShardsError:
    """Make the error of shards that did not answer."""
    shard, reason = next(iter(reasons.items()))
    return MissingShardsError(
        f"{what}: expected an answer of every shard within {deadline.seconds:g} s, got none of "
        f"{list(reasons)}; shard {shard}: {reason}",
        reasons,
    )


def _groups(n_shards: int, resources: Resources, deadline: Deadline) -> list[Any]:
    """Reserve places: a group for each shard, spread over nodes."""
    ray = _ray.started()
    bundle = resources.bundle()
    if not bundle:
        return []
    from ray.util import scheduling_strategies  # noqa: F401  # an attribute from here on
    from ray.util.placement_group import placement_group, remove_placement_group

    groups = [
        placement_group([dict(bundle)] * resources.replicas, strategy="SPREAD")
        for _ in range(n_shards)
    ]
    for shard, group in enumerate(groups):
        if not group.wait(timeout_seconds=max(0.01, deadline.left)):
            free, total = ray.available_resources(), ray.cluster_resources()
            for one in groups:
                remove_placement_group(one)
            raise PlacementError(
                f"shard {shard}: expected room for {resources.replicas} of {bundle} (replicas) "
                f"in {deadline.seconds:g} s, of {n_shards} shards; got a cluster of "
                f"{_named(total, bundle)}, of which {_named(free, bundle)} was free"
            )
    return groups


def _named(resources: Mapping[str, float], bundle: Mapping[str, float]) -> dict[str, float]:
    return {name: resources.get(name, 0.0) for name in bundle}


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
