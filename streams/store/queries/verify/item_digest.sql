sipHash64((
    toString(state), toString(team), toString(item_type), labels, size_milli, parent_id, toUInt16(rule), toString(work_class), toString(assistance),
    value_milli, toUInt8(value_assisted), toUInt8(container), toUInt8(evidence),
    first_event_at, last_event_at, started_at, first_completed_at, completed_at, canceled_at, history
))
