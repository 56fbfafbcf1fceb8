"""Measures this package beside others: what ``vecrecall bench`` and ``benchmarks.compare`` share.

`interleaved` has the one way in which peers are timed: each in a process of its own, in turn.
`peers` knows how each of them searches, `search` measures that, `truth` compares the lists with
the exact ones, `machine` says what the machine can do at most. `command` is ``vecrecall bench``,
over the vectors that `vectors` has read.
"""
