-- Every line of every value rule set.
SELECT * REPLACE (toUnixTimestamp64Micro(effective_from) AS effective_from) FROM value_rules FINAL ORDER BY effective_from, rule
