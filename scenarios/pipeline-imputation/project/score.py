"""Scores every customer with the churn model in model/churn.json, as config.json says."""

import csv
import json
import logging
import math
import os

from impute import filled


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    model, config = load("model/churn.json"), load("config.json")
    with open("data/customers.csv", encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    columns = {}
    for column in model["numbers"]:
        method = config.get(column, {}).get("impute", "median")
        columns[column] = filled(customers, column, method)
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "churn_score", "will_churn"])
        for index, customer in enumerate(customers):
            z = model["intercept"] + sum(weight * columns[column][index] for column, weight in model["numbers"].items())
            p = 1 / (1 + math.exp(-z))
            scores.writerow([customer["customer_id"], f"{p:.6f}", int(p >= model["threshold"])])
            if index % config["log"]["progress_every"] == 0:
                logging.info("scored %d customers", index)


if __name__ == "__main__":
    main()
