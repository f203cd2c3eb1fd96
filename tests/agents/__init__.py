"""The agents without a broker: the transport, the ownership of partitions and the order of a flush."""
