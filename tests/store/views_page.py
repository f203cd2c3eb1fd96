"""docs/reference/views.md as the database describes it: `python -m tests.store.views_page URL > docs/reference/views.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from streams.store.client import Client, connect

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "views.md"

HEAD = """# Views for analysts

Every view reads what is stored with the latest version of each row, knows nothing of partitions, and keeps the privacy floor: where a group
has fewer contributors than the tenant's setting `privacy_floor` (5 unless set in `tenant_settings`), usage is NULL or counted under
`(small teams)`. Names without `v_` are parts of these views: they have no floor, and no promise of staying.

This page is what the database says (`system.columns`); a test keeps it so.
"""


def page(client: Client) -> str:
    """The page for a migrated database."""
    views = client.query(
        "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND startsWith(name, 'v_') ORDER BY name"
    ).result_rows
    parts = [HEAD]
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
