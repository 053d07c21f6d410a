"""`asr serve`: the recogniser for other programs, by HTTP, WebSocket, Wyoming, and a page in the browser.

One thread does all recognition (`engine`); the event loop does everything else. docs/serving.md says what clients see.
Here: where it listens, who may ask, and how much; options that are checked before anything is loaded.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Limits:
    """What clients may ask for, so that none can take the server from the others."""

    upload: float = 200e6  # bytes of a request
    duration: float = 2 * 3_600.0  # s of audio in an upload
    files: int = 32  # uploads at a time: arriving, waiting or worked on
    streams: int = 64  # live streams at a time
    connections: int = 512  # open at a time, whatever they do
    idle: float = 30.0  # s in which nothing comes from a client that has begun to send
    stream: float = 8 * 3_600.0  # s that a live stream may last
    backlog: float = 10.0  # s of a live stream that wait for recognition before no more is read
    grace: float = 60.0  # s in which what is under way may be finished after SIGTERM
    conversion: float = 120.0  # s that ffmpeg may take for an upload


def read_token(path: Path | None, host: str) -> str:
    """The token in a file, or "" without one where that is safe. Raises UsageError."""
    if path is None:
        if not is_loopback(host):
            text = f"{host} can be reached from other machines: give --token-file FILE, or stay at 127.0.0.1"
            raise UsageError(text)
        return ""
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a token: {error}") from None
    if not re.fullmatch(r"[A-Za-z0-9._~-]{16,200}", token):
        hint = "make one with: openssl rand -hex 24"
        raise UsageError(f"the token in {path} must be 16 to 200 letters, digits or any of . _ ~ -; {hint}")
    return token


def network(text: str) -> Network:
    """The type of the option --allow."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address or network, such as 192.168.1.5 or 192.168.1.0/24")


def wyoming_address(text: str, allowed: Sequence[Network]) -> tuple[str, int]:
    """ "0.0.0.0:10300" -> host and port. Raises UsageError."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isdecimal() and int(port) < 65_536):
        raise UsageError(f"--wyoming {text}: give an address and a port, for example 127.0.0.1:10300")
    if not (allowed or is_loopback(host)):
        hint = "name its clients with --allow ADDRESS, or stay at 127.0.0.1"
        raise UsageError(f"{host} can be reached from other machines, and Wyoming has no token: {hint}")
    return host, int(port)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError."""
    if not 0 <= port < 65_536:
        raise UsageError(f"{port} is no port: give a number up to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen at {host}:{port} ({error}): give another address or port") from None


def is_loopback(host: str) -> bool:
    """Is a host, by name or number, this machine itself and reached from nowhere else?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
