"""The whole system on real data: ``vecrecall demo --full``.

One subject per file: `plan` has the sizes of all trainings and what was tuned, `source` reads the
data and `data` splits them, `families` trains the vectors of every family, `cache` keeps what was
trained, `grouping` groups users, `parts` says which channels there are and makes them of indexes,
tables and lists, `channels` chooses these, `measures` measures with standard errors, `findings`
tests sentences of the article, `report` makes the data of ``--json`` and `keys` documents them,
`display` and `plots` show them, `saved` writes what serving needs and reads it, `run` calls all in
order. Splits, replayed feeds, tuning of merges and lists are those of the light demo.

torch and the other packages of the extra ``full`` are imported inside functions.
"""
