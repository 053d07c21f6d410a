"""What goes wrong by no fault of the program."""


class Error(Exception):
    """One sentence for the user."""


class UsageError(Error, ValueError):
    """One sentence: what is wrong with a command line, the arguments of a call, or a file that they name."""
