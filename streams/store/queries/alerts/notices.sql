-- What has become of the notices of one episode.
SELECT event, channel, status, attempts, failures, due_at, sent_at, error FROM alert_deliveries FINAL
WHERE fingerprint = {fingerprint:String} AND started_at = fromUnixTimestamp64Micro({started_at:Int64})
ORDER BY event, channel
