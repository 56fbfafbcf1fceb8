"""A small HTTP recall service to copy: ``python -m examples.service``.

`catalog` makes the index, `recall` answers for users, `gather` joins requests into one scan,
`app` is the ASGI application, `__main__` starts it, `load` measures it.
"""
