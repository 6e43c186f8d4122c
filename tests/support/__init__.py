"""What the tests and benchmarks need around them: a private engine and the runner."""
