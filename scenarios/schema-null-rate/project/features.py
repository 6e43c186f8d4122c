"""From a row of customers.csv to the numbers the model knows."""


def number(text):
    """Return the cell as a number. A customer without a record used nothing."""
    return float(text) if text else 0.0


def features(customer, columns):
    """Return the wanted columns of one customer as numbers."""
    return {column: number(customer[column]) for column in columns}
