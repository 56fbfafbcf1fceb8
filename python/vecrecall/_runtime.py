"""Which instruction set and how many threads the core uses."""

import vecrecall._core as _core
from vecrecall.arrays._scalars import check_thread_count


def isa() -> str:
    """Name the instruction set in use.

    The first use in a process reads the environment variable ``VECRECALL_ISA``; without it the
    best set of this machine is taken.

    Returns
    -------
    str
        One of `available_isas`.

    Raises
    ------
    ValueError
        If ``VECRECALL_ISA`` names a set that is unknown or that this machine cannot run.

    Examples
    --------
    >>> import vecrecall as vr
    >>> vr.isa() in vr.available_isas()
    True
    """
    return _core.isa()


def available_isas() -> list[str]:
    """List the instruction sets that this machine can run, best first.

    Returns
    -------
    list of str
        Among ``"amx"``, ``"avx512vnni"``, ``"avx512"``, ``"avx2"``, ``"neon"`` and
        ``"baseline"``. Results have the same bits on all of them.

    See Also
    --------
    unavailable_isas : The others, and why they are not among these.

    Notes
    -----
    The first look at the sets asks the kernel for permission to use a matrix unit (``"amx"``),
    once per process. Forked processes inherit the answer.
    """
    return _core.available_isas()


def unavailable_isas() -> dict[str, str]:
    """Tell why instruction sets of this kind of processor are not among `available_isas`.

    Returns
    -------
    dict of str to str
        The reason by name, best set first: there is no such processor, the kernel does not save
        its registers, or it refused permission.

    Examples
    --------
    >>> import vecrecall as vr
    >>> set(vr.unavailable_isas()) & set(vr.available_isas())
    set()
    """
    return _core.unavailable_isas()


def set_isa(name: str) -> None:
    """Run later calls on the named instruction set.

    Parameters
    ----------
    name : str
        One of `available_isas`.

    Raises
    ------
    ValueError
        If the name is unknown or this machine cannot run the set; lists the valid ones, and says
        why a known one is not among them.
    """
    if not isinstance(name, str):
        raise TypeError(f"isa: expected a str, got {type(name).__name__}")
    _core.set_isa(name)


def get_num_threads() -> int:
    """Tell the default number of threads of a heavy call.

    Returns
    -------
    int
        What `set_num_threads` was given; else the environment variable
        ``VECRECALL_NUM_THREADS``; else the processors that this process may use, by CPU affinity
        and cgroup quota.

    Raises
    ------
    ValueError
        If ``VECRECALL_NUM_THREADS`` is not a whole number from 1 to 1024.
    """
    return _core.num_threads()


def set_num_threads(n: int) -> None:
    """Set the default number of threads of a heavy call.

    Parameters
    ----------
    n : int
        At least 1. Results do not depend on it.
    """
    _core.set_num_threads(check_thread_count(n))
