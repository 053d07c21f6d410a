"""What is compiled when the package is installed; `search` is None where there was no compiler."""

try:
    from asr.native import search
except ImportError:
    search = None  # type: ignore[assignment]
