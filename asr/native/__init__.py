"""What is compiled on installation; `search` is None where there was no compiler, or an older one was left."""

SOURCES = 3  # as in search.cpp: which calls the compiled part answers to

try:
    from asr.native import search

    if getattr(search, "SOURCES", 1) != SOURCES:  # left from before an update: install again
        search = None  # type: ignore[assignment]
except ImportError:
    search = None  # type: ignore[assignment]
