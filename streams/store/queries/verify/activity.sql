-- Changes whenever a flush or a step of the window agent has been stored.
SELECT
    (SELECT (sum(version), max(flushed_at)) FROM checkpoints FINAL),
    (SELECT (sum(next_offset), max(written_at)) FROM window_checkpoints FINAL)
