"""What a user can mend: one line that names the file or option and the remedy."""


class InputError(ValueError):
    """Unusable input. The command line prints its text on one line and exits with status 2."""
