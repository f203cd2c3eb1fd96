-- For each name in the book and each moment at which some line changes: the prices that hold. An alias has those of its model, a name without
-- a line in force those of the default line ''; a model that only the default line prices counts as unpriced.
INSERT INTO {scratch}.prices
WITH
    book AS (SELECT * FROM price_book FINAL WHERE model != '*'),
    moments AS (SELECT DISTINCT effective_from AS since FROM book),
    standing AS (
        SELECT
            book.model AS model,
            moments.since AS since,
            argMax(
                (book.alias_of, (book.input_price, book.cache_read_price, book.cache_write_5m_price, book.cache_write_1h_price, book.output_price)),
                book.effective_from
            ) AS line
        FROM moments CROSS JOIN book
        WHERE book.effective_from <= moments.since
        GROUP BY model, since
    ),
    resolved AS (
        SELECT
            names.model AS model,
            moments.since AS since,
            own.line AS line,
            own.model != '' AND own.line.1 = '' AS is_priced_itself,
            own.line.1 != '' AND target.model != '' AND target.line.1 = '' AS is_priced_by_alias,
            target.line.2 AS alias_prices,
            fallback.line.2 AS default_prices
        FROM moments
        CROSS JOIN (SELECT DISTINCT model FROM book) AS names
        LEFT JOIN standing AS own ON own.model = names.model AND own.since = moments.since
        LEFT JOIN standing AS target ON target.model = own.line.1 AND target.since = moments.since
        LEFT JOIN standing AS fallback ON fallback.model = '' AND fallback.since = moments.since
    )
SELECT
    model,
    since,
    is_priced_itself OR is_priced_by_alias,
    (if(is_priced_itself, line.2, if(is_priced_by_alias, alias_prices, default_prices)) AS prices).1,
    prices.2,
    prices.3,
    prices.4,
    prices.5
FROM resolved
