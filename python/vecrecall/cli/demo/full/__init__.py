"""The whole system on real data: ``vecrecall demo --full``.

One subject per file: `plan` has the sizes of all trainings, `data` splits, `families` trains the
vectors of each family, `training` all of them and `second` in a second process, `cache` keeps them,
`grouping` groups users, `channels` says which channels there are and of which parts they are made,
`lists` recalls, `merges` tunes, `measures` measures with standard errors, `evidence` and `findings`
test sentences of the article, `report` makes the data of ``--json`` and `keys` documents them,
`display` and `plots` show them, `saved` writes what serving needs and reads it, `run` calls all in
order. Splits by time, replayed feeds and the tuning itself are those of the light demo.

torch and the other packages of the extra ``full`` are imported inside functions.
"""
