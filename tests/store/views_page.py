"""docs/reference/views.md as the database describes it: `python -m tests.store.views_page URL > docs/reference/views.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from streams.store.client import Client, connect

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "views.md"

RAW_OF_ITEM = """SELECT * FROM usage_events FINAL
WHERE tenant = {tenant:String} AND work_item_id = {item:String} AND (kpart, tenant, team, toStartOfHour(occurred_at)) IN (
    SELECT kpart, tenant, team, toDateTime(usage_day, 'UTC') + INTERVAL arrayJoin(range(24)) HOUR
    FROM work_item_usage
    WHERE tenant = {tenant:String} AND work_item_id = {item:String}
)"""

HEAD = """# Views for analysts

Every view reads what is stored with the latest version of each row, knows nothing of partitions, and keeps the privacy floor: where a group
has fewer contributors than the tenant's setting `privacy_floor` (5 unless set in `tenant_settings`), usage is NULL or counted under
`(small teams)`. Names without `v_` are parts of these views: they have no floor, and no promise of staying.

This page is what the database says (`system.columns`); a test keeps it so.

The raw events of a work item have no view, because they have no floor either. Their table is ordered by partition, tenant, team and hour, and the
ledger knows which of these the item has; asked like that ClickHouse reads a few of its parts of 8,192 rows, however many events there are:

```sql
{RAW_OF_ITEM}
```
"""


def page(client: Client) -> str:
    """The page for a migrated database."""
    views = client.query(
        "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND startsWith(name, 'v_') ORDER BY name"
    ).result_rows
    parts = [HEAD.replace("{RAW_OF_ITEM}", RAW_OF_ITEM)]
    for name, comment in views:
        columns = client.query(
            "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = {name:String} ORDER BY position",
            {"name": name},
        ).result_rows
        rows = "\n".join(f"| `{column}` | {kind} | {note} |" for column, kind, note in columns)
        parts.append(f"\n## {name}\n\n{comment}\n\n| column | type | meaning |\n| --- | --- | --- |\n{rows}\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page(connect(sys.argv[1])))
