"""The one error for bad files and uploads."""


class InputError(ValueError):
    """A file or upload cannot be used; the message names the file, the field, the value and what to do.

    The command line prints it and exits with status 2; the app shows it at the place of action.
    """
