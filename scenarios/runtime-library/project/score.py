"""Scores every customer; a note of the call centre that sounds like leaving weighs heavily."""

import csv
import json
import logging
import math
import os

from rapidfuzz import process

SURE = 80  # similarity of a note and a phrase, 0 to 100


def wants_to_leave(note, phrases):
    """Return whether the agent's note is close to one of the phrases people leave with."""
    return process.extractOne(note, phrases, score_cutoff=SURE) is not None


def probability(customer, note, model):
    """Return the probability that the customer leaves in the next quarter."""
    z = model["intercept"] + sum(weight * float(customer[column]) for column, weight in model["numbers"].items())
    if wants_to_leave(note, model["phrases"]):
        z += model["wants_to_leave"]
    return 1 / (1 + math.exp(-z))


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main():
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    with open("model/churn.json", encoding="utf-8") as file:
        model = json.load(file)
    notes = {row["customer_id"]: row["note"] for row in read("data/notes.csv")}
    with open("out/scores.csv", "w", encoding="utf-8", newline="") as file:
        scores = csv.writer(file, lineterminator="\n")
        scores.writerow(["customer_id", "churn_score", "will_churn"])
        for customer in read("data/customers.csv"):
            p = probability(customer, notes[customer["customer_id"]], model)
            scores.writerow([customer["customer_id"], f"{p:.6f}", int(p >= model["threshold"])])
    logging.info("scored %d customers", len(notes))


if __name__ == "__main__":
    main()
