"""Comparison with other libraries, shared by ``vecrecall bench`` and ``benchmarks.compare``.

`interleaved` times peers, each in a process of its own, in alternating rounds. `peers` lists them
and `indexes` builds and searches their indexes, `search` measures that, `truth` compares the lists
with the exact ones, `machine` measures the limits of the machine. `command` is
``vecrecall bench``, over the vectors that `vectors` reads.
"""
