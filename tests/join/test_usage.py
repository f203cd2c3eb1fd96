"""What identifies a prompt does not depend on the batch that it comes in."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from streams.events.text_columns import TextColumns
from streams.join.usage import prompt_ids

NAMES = st.text(st.sampled_from("ab-é漢"), max_size=30)


@given(st.lists(st.tuples(NAMES, NAMES.filter(bool)), min_size=1, max_size=8), st.sampled_from(["", "dev", "a" * 13]))
def test_a_prompt_is_the_same_beside_an_event_without_item_and_session(keys: list[tuple[str, str]], actor: str) -> None:
    alone = _ids(keys, actor)
    beside = _ids([*keys, ("", "")], actor)  # its key is its own id, which is not hashed in place
    assert (alone == beside[:-1]).all()


@given(NAMES.filter(bool))
def test_an_item_that_is_named_as_a_session_is_its_key(session: str) -> None:
    ids = _ids([("", session), (f"session:{session}", "")], "dev")
    assert (ids[0] == ids[1]).all()
    assert (_ids([("", session), ("", f"{session}x")], "dev")[0] == ids[0]).all()
    assert (_ids([("", f"{session}x")], "dev")[0] != ids[0]).any()


def _ids(keys: list[tuple[str, str]], actor: str) -> np.ndarray:
    items, sessions = zip(*keys, strict=True)
    frame = pl.DataFrame(
        {
            "event_id": [f"event-{number}" for number in range(len(keys))], "work_item_id": items, "session_id": sessions,
            "actor": [actor] * len(keys), "prompt_fingerprint": ["f00d"] * len(keys),
        },
        schema=dict.fromkeys(("event_id", "work_item_id", "session_id", "actor", "prompt_fingerprint"), pl.String),
    )  # fmt: skip
    return prompt_ids(TextColumns(frame), np.zeros((len(keys), 2), np.uint64))
