"""Scores every customer with the churn model in model/churn.json."""

import csv
import json
import logging
import math
import os


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def usage_by_customer():
    """Return gigabytes by customer. Somebody without a value has not been measured yet and is left out."""
    return {row["customer_id"]: float(row["usage_gb"]) for row in read("data/usage.csv") if row["usage_gb"]}


def probability(customer, usage, model):
    """Return the probability that the customer leaves in the next quarter."""
    z = model["intercept"] + model["usage_gb"] * usage
    z += sum(weight * float(customer[column]) for column, weight in model["numbers"].items())
    return 1 / (1 + math.exp(-z))


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    usage = usage_by_customer()
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "churn_score", "will_churn"])
        for customer in read("data/customers.csv"):
            name = customer["customer_id"]
            p = probability(customer, usage.get(name, model["typical_usage_gb"]), model)
            scores.writerow([name, f"{p:.6f}", int(p >= model["threshold"])])


if __name__ == "__main__":
    main()
