"""Telling people of alerts: messages, channels and the outbox. `outbox`, `messages`, `reasons`, `notice` and `channel` are pure; the rest talks to the network."""
