"""Vectors of news: ``vecrecall demo --news``.

One subject per file. Of Chinese paragraphs: `corpus` finds words, places and articles, `families`
trains their vectors, `headlines` finds the topics of articles, `gazetteer` knows where places lie,
`geography` compares the map with the vectors, `findings` judges, `paper` joins these, `fonts` and
`plot` draw the map. Of clicks in MIND's format: `clicks` trains and measures. Of both: `trainer`
trains with progress and a cache, `report` makes the data of ``--json``, `display` shows them, `run`
calls all in order.
"""
