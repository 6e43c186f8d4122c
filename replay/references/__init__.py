"""Inputs that are versioned where they lie: referred to by version and content instead of copied."""
