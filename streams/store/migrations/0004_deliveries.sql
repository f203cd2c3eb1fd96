-- Deliveries of alerts count their failures in a row: the pause before the next attempt grows with them, and an attempt that is repeated keeps
-- the id of its message (attempts less failures).
ALTER TABLE alert_deliveries {on_cluster}
    ADD COLUMN IF NOT EXISTS failures UInt32 COMMENT 'attempts in a row that failed' AFTER attempts;
