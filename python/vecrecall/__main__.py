"""``python -m vecrecall`` is the ``vecrecall`` command."""

import sys

from vecrecall.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
