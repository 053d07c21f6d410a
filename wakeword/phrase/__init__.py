"""Is this a phrase, how is it said, and what sounds like it."""
