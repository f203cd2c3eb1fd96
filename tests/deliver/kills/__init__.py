"""kill -9 of a real alert worker at moments drawn from a seed, while episodes begin and end and receivers are slow, fail or ask for a pause.

    run.run(Options(seed=1))                                     one run: what was wrong at its end
    python -m tests.deliver.kills --seed 1 --kills 200           a long one; exits with 1 when anything is wrong

A seed draws the episodes, each receiver's moods and how each life of the worker ends; what a worker is doing at that moment, the machine decides.
"""
