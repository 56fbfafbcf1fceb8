"""Joins requests that come at the same time into one call."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Gather(Generic[Request, Answer]):
    """Calls a function with the requests that came while its last call ran.

    No request waits for others to come: where the service is idle, it is passed on at once and by
    itself. Use it from one event loop.

    Parameters
    ----------
    call : callable
        Takes a list of requests, returns as many answers, of which an exception is raised for its
        request alone. Runs in a thread, one call at a time.
    limit : int
        The most requests of one call.
    """

    def __init__(
        self, call: Callable[[list[Request]], list[Answer | Exception]], limit: int
    ) -> None:
        self._call = call
        self._limit = limit
        self._waiting: deque[tuple[Request, asyncio.Future[Answer]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def __call__(self, request: Request) -> Answer:
        """Give the answer to one request."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await future

    async def _answer_all(self) -> None:
        while self._waiting:
            size = min(self._limit, len(self._waiting))
            taken = [self._waiting.popleft() for _ in range(size)]
            requests = [request for request, _ in taken]
            answers: list[Answer | Exception]
            try:
                answers = await asyncio.to_thread(self._call, requests)
            except Exception as error:
                answers = [error] * size
            for (_, future), answer in zip(taken, answers, strict=True):
                if future.done():  # the client has gone
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
