"""What stands in for a value that is not there."""

from statistics import median


def stand_in(customers, column):
    """Return what a blank of the column is taken for: the median of the values that are there."""
    return median(float(customer[column]) for customer in customers if customer[column])
