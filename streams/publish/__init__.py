"""For platform teams: typed events, keys, pseudonyms, and publishers on Kafka."""
