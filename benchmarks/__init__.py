"""Timings of memlib's routines beside what one would use instead: `python -m benchmarks`, see README.md."""
