"""Probes in ClickHouse: what they find, their open alerts, and the runs of `verify` that one of them looks at."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping

import polars as pl

from streams.detect.alert import Alert, alerts_from_rows
from streams.detect.observed import Group
from streams.detect.policy import AlertPolicy
from streams.detect.probes import Finding, Probe
from streams.events.keys import partition_of
from streams.store.reading import Stored
from streams.store.rows import TIME
from streams.store.sink import Sink
from streams.store.verify import VerifyReport


def ask(
    stored: Stored, probe: Probe, wparts: Container[int], partitions: int, now_us: int, policy: AlertPolicy
) -> tuple[list[Alert], list[Finding]]:
    """A probe's open alerts and what it finds now, of the groups for which its numbers are in force and whose tenants belong to these partitions of
    value-windows; it finds nothing if it is off."""
    opened = alerts_from_rows(stored.read("probes/open", rule=probe.name))
    findings = _found(stored, probe, now_us, policy.budgets) if probe.enabled else []

    def concerns(group: Group) -> bool:
        return partition_of(group[0], partitions) in wparts and policy.probe_of(probe.name, group) == probe

    return (
        [alert for alert in opened if concerns(alert.group)],
        [finding for finding in findings if concerns((finding.tenant, finding.team))],
    )


def _found(stored: Stored, probe: Probe, now_us: int, budgets: Mapping[Group, int]) -> list[Finding]:
    parameters: dict[str, object] = {"now": now_us, **probe.parameters}
    if probe.name == "budget_forecast":
        parameters |= {
            "tenants": [tenant for tenant, _ in budgets],
            "teams": [team for _, team in budgets],
            "budgets": list(budgets.values()),
        }
    rows = stored.read(f"probes/{probe.name}", **parameters)
    return [Finding(*row) for row in rows.select(Finding._fields).iter_rows()]


def note_verification(sink: Sink, report: VerifyReport) -> None:
    """Keep what a run of `verify` found, so that an alert can tell of it."""
    differing = [table.table for table in report.tables if table.different]
    now_us = int(time.time() * 1e6)
    row = pl.DataFrame(
        [(now_us, report.rows, report.different, differing)],
        schema={"verified_at": pl.Int64, "compared": pl.Int64, "different": pl.Int64, "tables": pl.List(pl.String)},
        orient="row",
    )
    sink.rows("verifications", row.with_columns(pl.col("verified_at").cast(TIME)))
