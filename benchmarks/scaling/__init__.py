"""Past one machine: what each rate of events needs, computed from measured unit costs. `python -m benchmarks.scaling` writes docs/scaling.md.

costs    unit costs from benchmarks/results, and what is assumed
plan     what a rate comes to, and the rates at which one of something is full
page     the tables of docs/scaling.md
"""
