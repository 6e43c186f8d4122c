"""Scores every customer by the behaviour of similar ones, drawn from a sample to save time."""

import csv
import json
import logging
import os
import random

SCALE = {"tenure_months": 72.0, "monthly_charges": 70.0, "complaints": 4.0}


def distance(one, other):
    """Return how unlike two customers are."""
    return sum(abs(float(one[column]) - float(other[column])) / scale for column, scale in SCALE.items())


def unhappy(customer):
    """Return whether a customer behaves like one about to leave."""
    return int(customer["complaints"]) >= 1 and int(customer["tenure_months"]) < 36


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    with open("data/customers.csv", encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    sample = random.sample(customers, model["sample"])
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "churn_score", "will_churn"])
        for customer in customers:
            nearest = sorted(sample, key=lambda other: distance(customer, other))[: model["neighbours"]]
            p = sum(map(unhappy, nearest)) / len(nearest)
            scores.writerow([customer["customer_id"], f"{p:.4f}", int(p >= model["threshold"])])
    logging.info("scored %d customers", len(customers))


if __name__ == "__main__":
    main()
