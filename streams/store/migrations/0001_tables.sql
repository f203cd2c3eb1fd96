-- Tables of tokenworth. {on_cluster}, {replacing} and {merge_tree} are filled in by the migration runner: a single server gets the plain
-- engines, a cluster the replicated ones. Every result table replaces by version; readers use FINAL or the views.

-- One row is one accepted usage event. Identity: event_id within tenant and partition. Never changes once accepted.
CREATE TABLE IF NOT EXISTS usage_events {on_cluster} (
    kpart UInt16 COMMENT 'input partition',
    incarnation UInt32 COMMENT 'which life of the topic the offset belongs to',
    koff Int64 COMMENT 'offset in the partition',
    version UInt64 COMMENT 'epoch << 30 | flush number of the writer',
    appended_at DateTime64(6, 'UTC') COMMENT 'append time of the record',
    event_id String,
    occurred_at DateTime64(6, 'UTC'),
    tenant LowCardinality(String),
    source LowCardinality(String),
    team LowCardinality(String),
    actor String COMMENT 'keyed pseudonym',
    tool LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    operation LowCardinality(String),
    activity LowCardinality(String),
    work_item_id String COMMENT 'empty: the usage names no work item',
    session_id String,
    prompt_fingerprint String,
    input_tokens Int64,
    cache_read_tokens Int64,
    cache_write_5m_tokens Int64,
    cache_write_1h_tokens Int64,
    output_tokens Int64,
    reasoning_tokens Int64 COMMENT 'part of output_tokens',
    requests Int64,
    usage_quality LowCardinality(String) COMMENT 'full, partial or unknown',
    cost_micro_usd Nullable(Int64) COMMENT 'as reported; NULL: the source reported none',
    cost_basis LowCardinality(String),
    status LowCardinality(String),
    INDEX by_item work_item_id TYPE bloom_filter(0.01) GRANULARITY 4
) ENGINE = {replacing}
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (kpart, tenant, team, toStartOfHour(occurred_at), event_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is one accepted work-item event. Identity: event_id within tenant and partition. Never changes once accepted.
CREATE TABLE IF NOT EXISTS work_item_events {on_cluster} (
    kpart UInt16,
    incarnation UInt32,
    koff Int64,
    version UInt64,
    appended_at DateTime64(6, 'UTC'),
    event_id String,
    occurred_at DateTime64(6, 'UTC'),
    tenant LowCardinality(String),
    source LowCardinality(String),
    work_item_id String,
    kind LowCardinality(String),
    team LowCardinality(String),
    actor String,
    source_type LowCardinality(String),
    item_type LowCardinality(String),
    size_milli Int64 COMMENT '0: no usable size',
    labels Array(String),
    parent_id String,
    link_type LowCardinality(String),
    link_value String,
    resolution LowCardinality(String),
    INDEX by_item work_item_id TYPE bloom_filter(0.01) GRANULARITY 4
) ENGINE = {replacing}
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (kpart, tenant, team, toStartOfHour(occurred_at), event_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a ledger line: the usage of one day, team, tool and model within a work item. Changes with each usage event of the line.
CREATE TABLE IF NOT EXISTS work_item_usage {on_cluster} (
    kpart UInt16,
    tenant LowCardinality(String),
    work_item_id String,
    usage_day Date,
    team LowCardinality(String),
    tool LowCardinality(String),
    model LowCardinality(String),
    requests Int64,
    known_requests Int64,
    incomplete_events Int64,
    input_tokens Int64,
    cache_read_tokens Int64,
    cache_write_5m_tokens Int64,
    cache_write_1h_tokens Int64,
    output_tokens Int64,
    reasoning_tokens Int64,
    tokens Int64,
    standard_cost_micro_usd Int64,
    cost_micro_usd Int64,
    other_cost_micro_usd Int64,
    last_at DateTime64(6, 'UTC') COMMENT 'latest usage of the line',
    usage_next Int64 COMMENT 'offsets that the row covers: next offset of usage-events',
    items_next Int64 COMMENT 'and of work-item-events',
    version UInt64
) ENGINE = {replacing}
ORDER BY (kpart, tenant, work_item_id, usage_day, team, tool, model)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a work item that at least one work-item event named: its state, the credit in force, its history and its bookings.
-- Changes with each of its events, and with usage once it has bookings.
CREATE TABLE IF NOT EXISTS work_items {on_cluster} (
    kpart UInt16,
    tenant LowCardinality(String),
    work_item_id String,
    state LowCardinality(String) COMMENT 'open, completed or canceled',
    team LowCardinality(String) COMMENT 'owning team',
    item_type LowCardinality(String),
    labels Array(String),
    size_milli Int64 COMMENT '0: unsized',
    parent_id String,
    rule UInt16 COMMENT 'number of the value rule that matched (VALUE.md §4)',
    work_class LowCardinality(String) COMMENT 'core, supporting, low_value or excluded; of an open item, the class it would have',
    assistance LowCardinality(String) COMMENT 'of the last credit: assisted, assisted_unknown, lightly_assisted, unassisted, closed_without_work; empty: never completed',
    value_milli Int64 COMMENT 'value of the credit in force; 0 while not completed',
    value_assisted UInt8 COMMENT '1: the credit in force counts as assisted value',
    container UInt8,
    evidence UInt8,
    first_event_at DateTime64(6, 'UTC'),
    last_event_at DateTime64(6, 'UTC'),
    started_at DateTime64(6, 'UTC') COMMENT 'first start; 1970: none',
    first_completed_at DateTime64(6, 'UTC') COMMENT '1970: never completed',
    completed_at DateTime64(6, 'UTC') COMMENT 'the completion in force; 1970: not completed now',
    canceled_at DateTime64(6, 'UTC') COMMENT 'the cancellation in force; 1970: not canceled now',
    history Array(Tuple(
        occurred_at DateTime64(6, 'UTC'),
        event_id String,
        kind String,
        team String,
        item_type String,
        labels Array(String),
        size_milli Int64,
        parent_id String,
        link_type String,
        link_value String
    )) COMMENT 'its events in fold order',
    bookings Array(Tuple(
        at DateTime64(6, 'UTC'),
        kind String,
        team String,
        tool String,
        model String,
        work_class String,
        items_completed Int64,
        items_assisted Int64,
        items_assisted_unknown Int64,
        items_lightly_assisted Int64,
        items_unassisted Int64,
        items_closed_without_work Int64,
        items_reopened Int64,
        items_canceled Int64,
        value_credited_milli Int64,
        value_debited_milli Int64,
        assisted_value_credited_milli Int64,
        assisted_value_debited_milli Int64,
        matched_tokens_credited Int64,
        matched_tokens_debited Int64,
        matched_standard_cost_micro_usd_credited Int64,
        matched_standard_cost_micro_usd_debited Int64,
        abandoned_tokens_booked Int64,
        abandoned_tokens_reversed Int64,
        abandoned_standard_cost_micro_usd_booked Int64,
        abandoned_standard_cost_micro_usd_reversed Int64
    )) COMMENT 'what the item adds to the panes of these times; kind: credit, debit, abandon, reversal, or moved (an all-zero mark of a pane that an earlier version booked)',
    usage_next Int64,
    items_next Int64,
    version UInt64
) ENGINE = {replacing}
ORDER BY (kpart, tenant, work_item_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is one input partition's share of a group's usage in five minutes. Changes with each usage event of the pane.
CREATE TABLE IF NOT EXISTS panes {on_cluster} (
    kpart UInt16,
    tenant LowCardinality(String),
    team LowCardinality(String),
    tool LowCardinality(String),
    model LowCardinality(String),
    pane_start DateTime64(6, 'UTC'),
    requests Int64,
    failed_requests Int64,
    partial_requests Int64,
    unknown_requests Int64,
    unpriced_requests Int64,
    requests_without_cost Int64,
    input_tokens Int64,
    cache_read_tokens Int64,
    cache_write_5m_tokens Int64,
    cache_write_1h_tokens Int64,
    output_tokens Int64,
    reasoning_tokens Int64,
    tokens Int64,
    standard_cost_micro_usd Int64,
    cost_micro_usd Int64,
    other_cost_micro_usd Int64,
    unattributed_requests Int64,
    unattributed_tokens Int64,
    unattributed_standard_cost_micro_usd Int64,
    enabling_requests Int64,
    enabling_tokens Int64,
    enabling_standard_cost_micro_usd Int64,
    repeated_prompts Int64,
    usage_next Int64,
    items_next Int64,
    version UInt64
) ENGINE = {replacing}
PARTITION BY toYYYYMM(pane_start)
ORDER BY (kpart, tenant, team, tool, model, pane_start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row says that an actor used AI in a pane. A set: rows are only ever added.
CREATE TABLE IF NOT EXISTS pane_actors {on_cluster} (
    kpart UInt16,
    tenant LowCardinality(String),
    team LowCardinality(String),
    tool LowCardinality(String),
    model LowCardinality(String),
    pane_start DateTime64(6, 'UTC'),
    actor_hash UInt64 COMMENT 'xxHash64 of the pseudonym',
    version UInt64
) ENGINE = {replacing}
PARTITION BY toYYYYMM(pane_start)
ORDER BY (kpart, tenant, team, tool, model, pane_start, actor_hash)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a rolling window of a group. Written provisional, then final, then again for each revision.
CREATE TABLE IF NOT EXISTS value_windows {on_cluster} (
    tenant LowCardinality(String),
    grouping LowCardinality(String) COMMENT 'tenant, team, team_tool, team_model, team_class, tenant_tool, tenant_model or tenant_class',
    team LowCardinality(String) COMMENT 'empty where the grouping has no team; so for tool, model, work_class',
    tool LowCardinality(String),
    model LowCardinality(String),
    work_class LowCardinality(String),
    size LowCardinality(String) COMMENT '1h, 24h, 7d or 28d',
    window_end DateTime('UTC') COMMENT 'exclusive; a multiple of the slide',
    requests Int64,
    failed_requests Int64,
    partial_requests Int64,
    unknown_requests Int64,
    unpriced_requests Int64,
    requests_without_cost Int64,
    input_tokens Int64,
    cache_read_tokens Int64,
    cache_write_5m_tokens Int64,
    cache_write_1h_tokens Int64,
    output_tokens Int64,
    reasoning_tokens Int64,
    tokens Int64,
    standard_cost_micro_usd Int64,
    cost_micro_usd Int64,
    other_cost_micro_usd Int64,
    unattributed_requests Int64,
    unattributed_tokens Int64,
    unattributed_standard_cost_micro_usd Int64,
    enabling_requests Int64,
    enabling_tokens Int64,
    enabling_standard_cost_micro_usd Int64,
    repeated_prompts Int64,
    items_completed Int64,
    items_assisted Int64,
    items_assisted_unknown Int64,
    items_lightly_assisted Int64,
    items_unassisted Int64,
    items_closed_without_work Int64,
    items_reopened Int64,
    items_canceled Int64,
    value_credited_milli Int64,
    value_debited_milli Int64,
    assisted_value_credited_milli Int64,
    assisted_value_debited_milli Int64,
    matched_tokens_credited Int64,
    matched_tokens_debited Int64,
    matched_standard_cost_micro_usd_credited Int64,
    matched_standard_cost_micro_usd_debited Int64,
    abandoned_tokens_booked Int64,
    abandoned_tokens_reversed Int64,
    abandoned_standard_cost_micro_usd_booked Int64,
    abandoned_standard_cost_micro_usd_reversed Int64,
    contributors Int64 COMMENT 'distinct actors of usage events',
    status LowCardinality(String) COMMENT 'provisional or final',
    revision UInt32 COMMENT 'times that late data changed the final window',
    backfill UInt8 COMMENT '1: first written more than an hour after its end: alerts on it are recorded, not delivered',
    watermark DateTime64(6, 'UTC') COMMENT 'of the writer',
    written_at DateTime64(6, 'UTC'),
    version UInt64 COMMENT 'incarnation of pane-updates << 40 | consumed offset'
) ENGINE = {replacing}
PARTITION BY toYYYYMM(window_end)
ORDER BY (tenant, grouping, team, tool, model, work_class, size, window_end)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is the mirror of a join partition's position and what became of its records. Changes with each flush.
CREATE TABLE IF NOT EXISTS checkpoints {on_cluster} (
    kpart UInt16,
    incarnation UInt32,
    usage_next Int64,
    items_next Int64,
    usage_begin Int64 COMMENT 'first offset ever read: consumed = next - begin - missing',
    items_begin Int64,
    usage_watermark DateTime64(6, 'UTC'),
    items_watermark DateTime64(6, 'UTC'),
    usage_applied Int64,
    usage_duplicates Int64,
    usage_dead Int64,
    items_applied Int64,
    items_duplicates Int64,
    items_dead Int64,
    usage_missing Int64 COMMENT 'offsets that hold no record: control batches, compacted or aborted records',
    items_missing Int64,
    epoch UInt64,
    flush UInt64,
    worker String,
    flushed_at DateTime64(6, 'UTC'),
    version UInt64
) ENGINE = {replacing}
ORDER BY kpart
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is the beginning of one tenure of a worker over a partition.
CREATE TABLE IF NOT EXISTS claims {on_cluster} (
    kpart UInt16,
    epoch UInt64,
    worker String,
    claimed_at DateTime64(6, 'UTC')
) ENGINE = {merge_tree}
ORDER BY (kpart, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is how far the window agent has come in one partition of pane-updates. Changes with each step.
CREATE TABLE IF NOT EXISTS window_checkpoints {on_cluster} (
    upart UInt16,
    next_offset Int64,
    watermark DateTime64(6, 'UTC') COMMENT 'minimum over all input partitions that it knows',
    positions Array(Tuple(kpart UInt16, usage_next Int64, items_next Int64, usage_watermark DateTime64(6, 'UTC'), items_watermark DateTime64(6, 'UTC'))),
    written_at DateTime64(6, 'UTC'),
    version UInt64
) ENGINE = {replacing}
ORDER BY upart
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is one record that could not be applied. The payload is never kept.
CREATE TABLE IF NOT EXISTS dead_letters {on_cluster} (
    topic LowCardinality(String),
    kpart UInt16,
    incarnation UInt32,
    koff Int64,
    appended_at DateTime64(6, 'UTC'),
    reason LowCardinality(String),
    detail String,
    size_bytes Int64,
    version UInt64
) ENGINE = {replacing}
ORDER BY (topic, kpart, incarnation, koff)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is one record that repeated an event already applied.
CREATE TABLE IF NOT EXISTS duplicates {on_cluster} (
    topic LowCardinality(String),
    kpart UInt16,
    incarnation UInt32,
    koff Int64,
    appended_at DateTime64(6, 'UTC'),
    tenant LowCardinality(String),
    event_id String,
    content_hash UInt64 COMMENT 'xxHash64 of the record value',
    version UInt64
) ENGINE = {replacing}
PARTITION BY toYYYYMM(appended_at)
ORDER BY (topic, kpart, incarnation, koff)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is one line of a value rule set. Immutable once effective; a set is all rows with one effective_from.
CREATE TABLE IF NOT EXISTS value_rules {on_cluster} (
    effective_from DateTime64(6, 'UTC'),
    kind LowCardinality(String) COMMENT 'container, evidence, closed_without_work, match, unclassified, label or reference',
    rule UInt16 COMMENT 'number, the order of matching; 0 for label and reference',
    patterns Array(String) COMMENT 'item types and labels, casefolded, - and _ as spaces, a trailing * is a prefix; reference: the team, empty for all',
    base_milli Int64 COMMENT 'value of a typical item; reference: size in milli-points of a typical item',
    sized UInt8,
    work_class LowCardinality(String)
) ENGINE = {replacing_plain}
ORDER BY (effective_from, rule, kind, patterns)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a dated price line of a model. Immutable once effective.
CREATE TABLE IF NOT EXISTS price_book {on_cluster} (
    effective_from DateTime64(6, 'UTC'),
    model String COMMENT 'exact name; empty: the default line; * : the reference price in input_price',
    alias_of String COMMENT 'not empty: this name has the prices of that model',
    input_price Int64 COMMENT 'micro-USD per million tokens, at most 10^9; so are the others',
    cache_read_price Int64,
    cache_write_5m_price Int64,
    cache_write_1h_price Int64,
    output_price Int64
) ENGINE = {replacing_plain}
ORDER BY (effective_from, model)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a fact about the installation that must not change under running workers, such as the partition count.
CREATE TABLE IF NOT EXISTS installation {on_cluster} (
    name String,
    value String,
    version UInt64
) ENGINE = {replacing}
ORDER BY name
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a tenant's own setting, such as its privacy floor (name privacy_floor, default 5).
CREATE TABLE IF NOT EXISTS tenant_settings {on_cluster} (
    tenant LowCardinality(String),
    name LowCardinality(String),
    value String,
    version UInt64
) ENGINE = {replacing}
ORDER BY (tenant, name)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
