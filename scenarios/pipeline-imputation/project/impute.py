"""What stands in for a value that is not there."""

from statistics import median


def filled(customers, column, method):
    """Return the column as numbers, its blanks filled by `method`: median or zero."""
    known = [float(customer[column]) for customer in customers if customer[column]]
    stand_in = median(known) if method == "median" else 0.0
    return [float(customer[column]) if customer[column] else stand_in for customer in customers]
