"""Wyoming's events from a stream that nobody vouches for: what is too large is refused before it is read.

An event is a line of JSON, then as many bytes of further data and of payload as the line says
(github.com/OHF-Voice/wyoming). The package's own reader takes any lengths.
"""

from __future__ import annotations

import asyncio
import json

from wyoming.event import Event

DATA, PAYLOAD = 64_000, 1_000_000  # bytes at most


class EventError(ValueError):
    """The stream does not hold Wyoming's events, or too large ones."""


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None at the end. Raises EventError, asyncio.IncompleteReadError."""
    try:
        line = await reader.readline()  # a line may be as long as the reader's limit: 64 KiB
    except ValueError:
        raise EventError("a line is too long") from None
    if not line:
        return None
    head = _object(line)
    data, type = head.get("data") or {}, head.get("type")
    if length := _length(head, "data_length", DATA):
        data = _checked(data) | _object(await reader.readexactly(length))
    payload = await reader.readexactly(_length(head, "payload_length", PAYLOAD))
    if not isinstance(type, str):
        raise EventError("an event has no type")
    return Event(type, _checked(data), payload or None)


def _object(text: bytes) -> dict:
    try:
        return _checked(json.loads(text))
    except (ValueError, RecursionError):
        raise EventError("this is no JSON") from None


def _checked(found: object) -> dict:
    if not isinstance(found, dict):
        raise EventError("this is no JSON object")
    return found


def _length(head: dict, name: str, most: int) -> int:
    length = head.get(name) or 0
    if type(length) is not int or not 0 <= length <= most:
        raise EventError(f"{name} must be 0 to {most}")
    return length
