"""How long a customer has been with us."""

from datetime import date

NOTICE = 365


def days_since(signed_up):
    """Return the days since a customer signed up. `signed_up`: ISO 8601."""
    return (date.today() - date.fromisoformat(signed_up)).days


def may_leave(days):
    """Return whether the first contract is over."""
    return days >= NOTICE
