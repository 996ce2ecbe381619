"""`python -m rap` is the `rap` command."""

import sys

from rap.cli import main

if __name__ == "__main__":
    sys.exit(main())
