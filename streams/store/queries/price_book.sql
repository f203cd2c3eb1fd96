-- Every dated price line.
SELECT * REPLACE (toUnixTimestamp64Micro(effective_from) AS effective_from) FROM price_book FINAL ORDER BY effective_from, model
