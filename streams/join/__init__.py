"""The exact join: dedup, ledger, outcomes and bookings. Pure."""
