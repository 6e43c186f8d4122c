"""What stands in for a value that is not there."""


def stand_in(customers, column):
    """Return what a blank of the column is taken for: nothing was used."""
    return 0.0
