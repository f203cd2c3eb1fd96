-- Tables of one run of verify, in a database of its own that is dropped at the end. They hold what the raw rows give, never what is stored.
-- `sums` is a linear fingerprint of a row's measures: their dot product, modulo 2^64, with odd factors drawn for this run. Fingerprints add up
-- as the measures do, over partitions and over windows. A difference in one measure always shows; one in several is missed with a chance
-- of about 2^-60.

-- The position of each partition.
CREATE TABLE {scratch}.positions AS checkpoints ENGINE = MergeTree ORDER BY kpart;

-- The end of each life of a partition: its raw rows count below it.
CREATE TABLE {scratch}.ends (kpart UInt16, incarnation UInt32, usage_end Int64, items_end Int64) ENGINE = MergeTree ORDER BY (kpart, incarnation);

-- Raw rows that repeat an identity of a lower offset. There are none unless deduplication failed; results must not count them.
CREATE TABLE {scratch}.repeats (topic LowCardinality(String), kpart UInt16, incarnation UInt32, koff Int64, tenant String, event_id String)
ENGINE = MergeTree ORDER BY (topic, kpart, koff);

-- The price book with its aliases and its default line resolved, per name and moment at which any line changes.
CREATE TABLE {scratch}.prices (
    model String, since DateTime64(6, 'UTC'), priced UInt8,
    input_price Int64, cache_read_price Int64, cache_write_5m_price Int64, cache_write_1h_price Int64, output_price Int64
) ENGINE = MergeTree ORDER BY (model, since);

-- Usage of an item by day, team, tool and model.
CREATE TABLE {scratch}.lines (
    kpart UInt16, tenant String, work_item_id String, usage_day Date, team String, tool String, model String,
    requests Int64, known_requests Int64, incomplete_events Int64, tokens Int64, cost Int64, last_at DateTime64(6, 'UTC'), sums Int64
) ENGINE = MergeTree ORDER BY (kpart, tenant, work_item_id);

-- Usage of five minutes.
CREATE TABLE {scratch}.panes (
    kpart UInt16, tenant String, team String, tool String, model String, pane_start DateTime('UTC'),
    unattributed_requests Int64, unattributed_tokens Int64, unattributed_cost Int64,
    enabling_requests Int64, enabling_tokens Int64, enabling_cost Int64, sums Int64
) ENGINE = MergeTree ORDER BY (tenant, team, pane_start);

-- Who used AI in five minutes.
CREATE TABLE {scratch}.pane_actors (
    kpart UInt16, tenant String, team String, tool String, model String, pane_start DateTime('UTC'), actor_hash UInt64
) ENGINE = MergeTree ORDER BY (tenant, team, pane_start);

-- An item's events in fold order. Arrays ending in _at hold, for each event, what is true once it has happened.
CREATE TABLE {scratch}.histories (
    kpart UInt16, tenant String, work_item_id String,
    history Array(Tuple(
        occurred_at DateTime64(6, 'UTC'), event_id String, kind String, team String, item_type String, labels Array(String),
        size_milli Int64, parent_id String, link_type String, link_value String)),
    before Array(String), after Array(String), evidence_link Array(UInt8), evidence_at Array(UInt8), worked_at Array(UInt8),
    completion_at Array(UInt32), first_completion UInt32, rules_at Array(DateTime64(6, 'UTC')),
    team_at Array(String), item_type_at Array(String), labels_at Array(Array(String)), parent_at Array(String),
    last_team String, size_milli Int64
) ENGINE = MergeTree ORDER BY (kpart, tenant, work_item_id);

-- What the value rules say about a type and labels, per rule set in use.
CREATE TABLE {scratch}.matches (
    since DateTime64(6, 'UTC'), item_type String, labels Array(String),
    container UInt8, rule UInt16, base_milli Int64, sized UInt8, work_class String, evidence_rule UInt16, closed_rule UInt16,
    references Map(String, Int64)
) ENGINE = MergeTree ORDER BY (since, item_type);

-- The value of a completion as judged at event n: at the completion itself, at a reclassification, or at a link that made it evidence.
CREATE TABLE {scratch}.credits (
    kpart UInt16, tenant String, work_item_id String, n UInt32, at DateTime64(6, 'UTC'), ends_at DateTime64(6, 'UTC'), is_booked UInt8,
    team String, rule UInt16, work_class String, container UInt8, assistance String, value_milli Int64, is_assisted_value UInt8,
    is_counted UInt8, dominant Tuple(String, String),
    places Array(Tuple(tool String, model String, value Int64, tokens Int64, cost Int64))
) ENGINE = MergeTree ORDER BY (kpart, tenant, work_item_id, n);

-- Where an item is booked.
CREATE TABLE {scratch}.bookings (
    kpart UInt16, tenant String, work_item_id String, pane_start DateTime('UTC'), team String, tool String, model String, work_class String,
    sums Int64
) ENGINE = MergeTree ORDER BY (kpart, tenant, work_item_id);

-- An item as it stands.
CREATE TABLE {scratch}.items (
    kpart UInt16, tenant String, work_item_id String, state String, work_class String, excluded UInt8, canceled_on Date, completed_on Date,
    last_seen_at DateTime64(6, 'UTC'), digest UInt64
) ENGINE = MergeTree ORDER BY (kpart, tenant, work_item_id);

-- What a grouping keeps of a pane's key, and the grouping whose actors are its contributors: usage has no class.
CREATE TABLE {scratch}.groupings (grouping String, by_team UInt8, by_tool UInt8, by_model UInt8, by_class UInt8, crowd_grouping String)
ENGINE = MergeTree ORDER BY grouping;

INSERT INTO {scratch}.groupings VALUES
    ('tenant', 0, 0, 0, 0, 'tenant'),
    ('team', 1, 0, 0, 0, 'team'),
    ('team_tool', 1, 1, 0, 0, 'team_tool'),
    ('team_model', 1, 0, 1, 0, 'team_model'),
    ('team_class', 1, 0, 0, 1, 'team'),
    ('tenant_tool', 0, 1, 0, 0, 'tenant_tool'),
    ('tenant_model', 0, 0, 1, 0, 'tenant_model'),
    ('tenant_class', 0, 0, 0, 1, 'tenant');

-- The window families, in seconds.
CREATE TABLE {scratch}.families (size String, size_s UInt32, slide_s UInt32) ENGINE = MergeTree ORDER BY size;

INSERT INTO {scratch}.families VALUES ('1h', 3600, 300), ('24h', 86400, 3600), ('7d', 604800, 21600), ('28d', 2419200, 86400);

-- Which groups, named by the hash of their key, a pane belongs to. `crowd` is the group whose actors count as the contributors.
CREATE TABLE {scratch}.members (
    tenant String, team String, tool String, model String, work_class String,
    id UInt64, crowd UInt64, group Tuple(tenant String, grouping String, team String, tool String, model String, work_class String)
) ENGINE = MergeTree ORDER BY (tenant, team, tool, model, work_class);

-- Every group, of panes or of stored windows.
CREATE TABLE {scratch}.groups (
    id UInt64, crowd UInt64, group Tuple(tenant String, grouping String, team String, tool String, model String, work_class String)
) ENGINE = MergeTree ORDER BY id;

-- Sums of a group over one slide of a family; `slot` is its begin, seconds since 1970.
CREATE TABLE {scratch}.slots (size String, crowd UInt64, id UInt64, slot UInt32, sums Int64) ENGINE = MergeTree ORDER BY (size, crowd);

-- Actors of a group in one slide of a family.
CREATE TABLE {scratch}.presence (size String, crowd UInt64, actor_hash UInt64, slot UInt32) ENGINE = MergeTree ORDER BY (size, crowd);

-- What is compared again at a later position.
CREATE TABLE {scratch}.wanted_items (tenant String, work_item_id String) ENGINE = MergeTree ORDER BY (tenant, work_item_id);
CREATE TABLE {scratch}.wanted_panes (tenant String, pane_start DateTime('UTC')) ENGINE = MergeTree ORDER BY (tenant, pane_start);
CREATE TABLE {scratch}.wanted_days (tenant String, day Date) ENGINE = MergeTree ORDER BY (tenant, day);
CREATE TABLE {scratch}.wanted_tenants (tenant String) ENGINE = MergeTree ORDER BY tenant;

-- Days of which a stored row is beyond the positions: views, which read every row, show a state of them that is not committed yet.
CREATE TABLE {scratch}.moved_days (tenant String, day Date) ENGINE = MergeTree ORDER BY (tenant, day);
