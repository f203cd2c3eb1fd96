-- Share of the requests whose tokens are known, and of the completed items that some value rule knows.
SELECT
    (
        SELECT 1 - sum(unknown_requests) / sum(requests)
        FROM panes FINAL
        WHERE tenant = {tenant:String}
    ) AS known_requests,
    (
        SELECT 1 - countIf(rule = (SELECT argMax(rule, effective_from) FROM value_rules FINAL WHERE kind = 'unclassified')) / count()
        FROM v_work_items
        WHERE tenant = {tenant:String} AND state = 'completed' AND work_class != 'excluded'
    ) AS rules_fit
