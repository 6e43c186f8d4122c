"""Replay: which execution condition changed, and should we retrain?"""

__version__ = "0.1.0"
