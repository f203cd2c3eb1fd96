"""Damaged input: what any bytes make of the decoder, of messages between agents, and of fetches. See CONTRIBUTING.md for long runs."""
