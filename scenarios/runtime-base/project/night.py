"""The share of a customer's calls made at night."""

from collections import Counter
from datetime import datetime


def is_night(started):
    """Return whether a call was made between 22 and 6 o'clock, local time. `started`: epoch seconds."""
    hour = datetime.fromtimestamp(started).hour
    return hour >= 22 or hour < 6


def night_shares(calls):
    """Return the share of night calls, 0 to 1, by customer."""
    made, at_night = Counter(), Counter()
    for call in calls:
        made[call["customer_id"]] += 1
        at_night[call["customer_id"]] += is_night(int(call["started"]))
    return {customer: at_night[customer] / made[customer] for customer in made}
