"""Recall for real users, from raw interactions to ranked lists: ``vecrecall demo``.

One subject per file: `reading` reads interactions and `data` splits them by time, `embeddings`
trains and pools vectors, `channels` recalls with them, `groups` groups users and recalls by group,
`profiles` makes the users' requests, `system` joins these for one split, `merging` tunes the
policies, `evaluation` measures, `provenance` finds where items come from, `report` makes the data
of ``--json`` and `keys` documents them, `display` and `plot` show them, `run` calls all in order.

The packages of the extra ``demo`` are imported inside functions, so that importing these modules
needs NumPy alone.
"""


class DemoError(Exception):
    """The demo cannot continue; the message is one line for the user."""
