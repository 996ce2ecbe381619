"""The `rap` command, installed or as `python -m rap`: the commands of `rap.cli`, and the editor's page, `rap app`.

They meet here because `rap.cli` lies below `ui` and must not know it; nothing imports this module.
"""

import sys

from rap import cli

COMMANDS = {
    "app": ("ui.app", "serve the editor as a page (own options: rap app --help)"),
    "serve": ("ui.app", "rap app --serve: its models in processes of their own, by Ray"),
    **cli.DELEGATED,
}


def main() -> int:
    """Run the command of this process; returns its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        arguments = ["app", "--serve", *arguments[1:]]
    return cli.main(arguments, COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
