"""Scores every customer; who is free to leave for the first time is about to."""

import csv
import json
import logging
import math
import os

from tenure import days_since, may_leave


def probability(customer, days, model):
    """Return the probability that the customer leaves in the next quarter."""
    z = model["intercept"] + model["days"] * days + model["may_leave"] * may_leave(days)
    z += sum(weight * float(customer[column]) for column, weight in model["numbers"].items())
    return 1 / (1 + math.exp(-z))


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    with open("data/customers.csv", encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "days", "churn_score", "will_churn"])
        for customer in customers:
            days = days_since(customer["signed_up"])
            p = probability(customer, days, model)
            scores.writerow([customer["customer_id"], days, f"{p:.6f}", int(p >= model["threshold"])])
    logging.info("scored %d customers", len(customers))


if __name__ == "__main__":
    main()
