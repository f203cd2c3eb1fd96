-- The alerts of a probe that are pending or fire.
SELECT * EXCEPT (version) FROM alerts FINAL
WHERE rule = {rule:String} AND resolved_at = toDateTime64(0, 6, 'UTC')
