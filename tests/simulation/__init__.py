"""Deterministic simulation: the product's own agents over a simulated broker, clock and ClickHouse, driven by one seed.

    run.simulate(seed)     one run: what was done to it, and what differs from the oracle at its end
    python -m tests.simulation --first 1 --seeds 100000      a range, on all cores (`make simulate`)
    python -m tests.simulation --first 17 --seeds 1 --trace  one seed, step by step

Everything that a run does follows from its seed: times, sizes, interleavings and faults are drawn from one generator, time is a number that
jumps to the next timer, and only one thread runs at a time. What happens to topics, positions and results themselves (losses.py), and how much
room there is in memory (evictions.py), come from generators of their own.

Three things that docs/guarantees.md does not promise to bear are left out:
- a worker does not write results of a topic that is no more after the next incarnation has begun, nor what became of lost records after another
  worker has gone on without them: it dies before (Inputs.out_of_time)
- where windows are made, the store is not restored in a run in which input records are deleted (losses.DELETING)
- a damaged item keeps where it is booked (SimulatedStore.damage)
"""
