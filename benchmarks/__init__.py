"""Speed and memory against the naive procedure, measured in the same run: `python -m benchmarks`."""
