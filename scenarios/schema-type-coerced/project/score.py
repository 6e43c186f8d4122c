"""Scores every customer; each plan has its own weight in model/churn.json."""

import csv
import json
import math

NEUTRAL = 0.0  # a plan that is too new to have a weight


def probability(customer, model):
    """Return the probability that the customer leaves in the next quarter."""
    z = model["intercept"] + model["plan"].get(customer["plan_code"], NEUTRAL)
    z += sum(weight * float(customer[column]) for column, weight in model["numbers"].items())
    return 1 / (1 + math.exp(-z))


def main():
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    with open("data/customers.csv", encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "plan_code", "churn_score", "will_churn"])
        for customer in customers:
            p = probability(customer, model)
            scores.writerow([customer["customer_id"], customer["plan_code"], f"{p:.6f}", int(p >= model["threshold"])])
    print(f"scored {len(customers)} customers")


if __name__ == "__main__":
    main()
