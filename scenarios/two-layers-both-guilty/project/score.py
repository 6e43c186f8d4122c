"""Scores every customer; who calls at night is about to leave more often."""

import csv
import json
import logging
import math
import os

from impute import stand_in
from night import night_shares


def probability(customer, night_share, blank, model):
    """Return the probability that the customer leaves in the next quarter."""
    z = model["intercept"] + model["night_share"] * night_share
    z += sum(weight * float(customer[column] or blank[column]) for column, weight in model["numbers"].items())
    return 1 / (1 + math.exp(-z))


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    customers = read("data/customers.csv")
    shares = night_shares(read("data/calls.csv"))
    blank = {column: stand_in(customers, column) for column in model["numbers"]}
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "night_share", "churn_score", "will_churn"])
        for customer in customers:
            share = shares[customer["customer_id"]]
            p = probability(customer, share, blank, model)
            scores.writerow([customer["customer_id"], f"{share:.4f}", f"{p:.6f}", int(p >= model["threshold"])])
    logging.info("scored %d customers", len(shares))


if __name__ == "__main__":
    main()
