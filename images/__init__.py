"""Base images: one folder a base, a recipe in each, and `build.py`, which builds them bit for bit."""
