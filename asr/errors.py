"""What goes wrong by no fault of the program."""


class Error(Exception):
    """One sentence for the user."""
