"""Scores every customer with the churn model in model/churn.json."""

import csv
import json
import math

from features import features


def probability(customer, model):
    """Return the probability that the customer leaves in the next quarter."""
    weights = model["numbers"]
    values = features(customer, weights)
    z = model["intercept"] + sum(weights[column] * values[column] for column in weights)
    return 1 / (1 + math.exp(-z))


def main():
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    with open("data/customers.csv", encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "churn_score", "will_churn"])
        for customer in customers:
            p = probability(customer, model)
            scores.writerow([customer["customer_id"], f"{p:.6f}", int(p >= model["threshold"])])
    print(f"scored {len(customers)} customers")


if __name__ == "__main__":
    main()
