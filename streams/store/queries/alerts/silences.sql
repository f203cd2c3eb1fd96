-- Silences that end after an instant.
SELECT id, matchers, starts_at, ends_at, created_at, created_by, comment FROM alert_silences FINAL
WHERE ends_at > fromUnixTimestamp64Micro({since:Int64})
ORDER BY ends_at, id
