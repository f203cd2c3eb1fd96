"""tokenworth: what AI tokens are worth.

Follow a token count through the rooms: events (what comes in) -> value (what it costs, what work is worth) -> join (which work it went
into) -> windows (how much, when) -> detect (when to say so). store keeps the results, agents move the data, publish feeds them.
"""

__version__ = "0.1.0"
