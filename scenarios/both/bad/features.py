"""From a row of customers.csv to the numbers the model knows."""

TYPICAL_USAGE = 19.0  # gigabytes, the median of the training data


def features(customer):
    """Return the features of one customer by name."""
    return {
        "tenure_months": int(customer["tenure_months"]) // 12,
        "monthly_charges": float(customer["monthly_charges"]),
        "complaints": int(customer["complaints"]),
        "usage_gb": float(customer["usage_gb"] or TYPICAL_USAGE),
    }
