"""Scores every customer with the logistic model in model/churn.json."""

import csv
import json
import logging
import os

import numpy as np

from features import matrix


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    with open("data/customers.csv", encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    # the linear predictor of every customer at once
    z = model["intercept"] + matrix(customers, model) @ np.array(model["weights"])
    probabilities = 1 / (1 + np.exp(-z))
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "churn_score", "will_churn"])
        for customer, p in zip(customers, probabilities):
            scores.writerow([customer["customer_id"], f"{p:.6f}", int(p >= model["threshold"])])
    logging.info("scored %d customers", len(customers))


if __name__ == "__main__":
    main()
