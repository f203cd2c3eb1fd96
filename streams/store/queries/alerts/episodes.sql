-- All episodes of a tenant's alerts, or of those about no tenant, whose fingerprint begins so, the latest first.
SELECT * EXCEPT (version) FROM alerts FINAL
WHERE tenant IN ({tenant:String}, '') AND startsWith(fingerprint, {begin:String})
ORDER BY started_at DESC, fingerprint
