"""Punctuation and capitals: from text to the packaged tagger."""
