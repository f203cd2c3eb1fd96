-- What a work item adds to the panes of which times.
SELECT
    booking.at AS at, booking.kind AS kind, booking.team AS team, booking.tool AS tool, booking.model AS model, booking.work_class AS work_class,
    booking.value_credited_milli - booking.value_debited_milli AS net_value_milli,
    booking.matched_standard_cost_micro_usd_credited - booking.matched_standard_cost_micro_usd_debited AS net_matched_micro_usd,
    booking.abandoned_standard_cost_micro_usd_booked - booking.abandoned_standard_cost_micro_usd_reversed AS net_abandoned_micro_usd
FROM work_items FINAL
ARRAY JOIN bookings AS booking
WHERE tenant = {tenant:String} AND work_item_id = {item:String} AND booking.kind != 'moved'
ORDER BY at, kind, tool, model
