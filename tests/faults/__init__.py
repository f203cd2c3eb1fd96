"""What a run must survive: workers that are killed, join, leave or are told to stop while traffic flows."""
