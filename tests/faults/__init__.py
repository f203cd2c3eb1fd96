"""What a run must survive on Apache Kafka and the ClickHouse engine: a schedule of real faults over a running system, drawn from a seed.

links      proxies between a worker and Kafka, and a worker and ClickHouse: cut, held, delayed, slow, refusing
clock      first on a worker's PYTHONPATH: a time of day that can jump
cluster    broker, ClickHouse and workers, each with links and a clock of its own
kinds      the faults: what each needs, how it begins, when it has struck, how it heals
schedule   which of them when
traffic    endless months of made traffic, published at a pace and counted outside of the system
run        all of it together, and the accounts at the end
report     the outcome as a page

`make faults` runs a long one (`python -m tests.faults --help`), `make test` a short one in which every kind happens.
"""
