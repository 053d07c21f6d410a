"""The attention decoder on the same encoder: a small library of its own."""
