"""What comes in: canonical events, the Avro wire format, decoding to columns, validation."""
