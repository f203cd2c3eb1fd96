"""How cost and memory grow: `python -m benchmarks.growth`.

catalog    every curve: its name, what is varied, what is measured, and why it rises as it does
curve      points, the slope of a curve, what "at most logarithmic" means
run        one curve after the other, each in a process of its own; results go to a file after each
made       usage events with as many items, teams and repeats as wanted
joining    in process: items, teams, partitions, duplicates, late, horizon, events       grouping   in process: groups
stored     on the embedded ClickHouse: recovery, queries     amounts   bytes     workers   end to end
page       the section of docs/performance.md and its plot
"""
