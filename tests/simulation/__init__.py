"""Deterministic simulation: the product's own agents over a simulated broker, clock and ClickHouse, driven by one seed.

    run.simulate(seed)     one run: what was done to it, and what differs from the oracle at its end
    python -m tests.simulation --first 1 --seeds 100000      a range, on all cores (`make simulate`)
    python -m tests.simulation --first 17 --seeds 1 --trace  one seed, step by step

Everything that a run does follows from its seed: times, sizes, interleavings and faults are drawn from one generator, time is a number that
jumps to the next timer, and only one thread runs at a time.
"""
