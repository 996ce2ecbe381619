"""The `rap` command, installed or as `python -m rap`: the commands of `rap.cli`, and `rap app`, the editor's page.

They meet here because `rap.cli` lies below `ui` and must not know it; nothing imports this module.
"""

import sys

from rap import cli

COMMANDS = {"app": ("ui.app", "serve the editor as a page (own options: rap app --help)"), **cli.DELEGATED}


def main() -> int:
    """Run the command of this process; returns its exit status."""
    return cli.main(delegated=COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
