"""Text that people can read: the recogniser's words with figures, capitals and punctuation."""
