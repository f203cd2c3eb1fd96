-- Alerts know one more state: no_data.
ALTER TABLE alerts {on_cluster}
    COMMENT COLUMN state 'pending, firing, resolved; no_data: fires, but its team sends no usage any more; inactive: was pending and went away before it fired';

ALTER TABLE v_alerts {on_cluster}
    COMMENT COLUMN state 'pending, firing, resolved; no_data: fires, but its team sends no usage any more';
