"""Misses, false alarms and delay of a detector."""
