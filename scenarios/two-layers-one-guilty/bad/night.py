"""The share of a customer's calls made at night."""

from collections import Counter
from datetime import datetime, timedelta, timezone

ALMATY = timezone(timedelta(hours=5))
STARTS, ENDS = 20, 8  # o'clock


def is_night(started):
    """Return whether a call was made at night in Almaty. `started`: epoch seconds."""
    hour = datetime.fromtimestamp(started, ALMATY).hour
    return hour >= STARTS or hour < ENDS


def night_shares(calls):
    """Return the share of night calls, 0 to 1, by customer."""
    made, at_night = Counter(), Counter()
    for call in calls:
        made[call["customer_id"]] += 1
        at_night[call["customer_id"]] += is_night(int(call["started"]))
    return {customer: at_night[customer] / made[customer] for customer in made}
