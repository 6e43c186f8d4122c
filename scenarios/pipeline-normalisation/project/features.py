"""From customers.csv to the matrix the model was trained on."""

import numpy as np


def matrix(customers, model):
    """Return one row per customer: every column as its distance from the training mean, in standard deviations."""
    values = np.array([[float(customer[column]) for column in model["columns"]] for customer in customers])
    return (values - model["mean"]) / model["std"]
