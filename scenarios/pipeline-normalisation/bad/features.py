"""From customers.csv to the matrix the model was trained on."""

import numpy as np


def matrix(customers, model):
    """Return one row per customer: every column scaled to between 0 and 1 over the customers at hand."""
    values = np.array([[float(customer[column]) for column in model["columns"]] for customer in customers])
    low, high = values.min(axis=0), values.max(axis=0)
    return (values - low) / (high - low)
