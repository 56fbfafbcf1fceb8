"""Recall for real users, from raw interactions to ranked lists: ``vecrecall demo``.

One subject a file: `data` reads interactions and splits them by time, `embeddings` trains and pools
vectors, `channels` recalls, `evaluation` measures, `report` makes the data of ``--json`` (its keys
are documented in `report.KEYS`), `display` draws, `run` puts them in order.

The packages of the extra ``demo`` are imported inside functions, or by modules that `run` imports
after it has checked for them, so that importing ``vecrecall.demo`` needs NumPy alone.
"""


class DemoError(Exception):
    """The demo cannot go on; the message is one line for the person who called it."""
