-- Acknowledgements of episodes that are not over.
SELECT fingerprint, started_at, acked_at, acked_by, comment, until FROM alert_acknowledgements FINAL
WHERE (fingerprint, started_at) IN (SELECT fingerprint, started_at FROM alerts FINAL WHERE resolved_at = toDateTime64(0, 6, 'UTC'))
