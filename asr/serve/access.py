"""Where `asr serve` listens, and who may ask: what its options must be for that to be safe."""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
import ssl
from pathlib import Path

from asr.errors import Error
from asr.serve.limits import is_loopback


class UsageError(Error, ValueError):
    """One sentence: what is wrong with the command line, and what to do."""


def read_token(path: Path | None, host: str) -> str:
    """Of the file; "" without one, where that is safe. Raises UsageError, as all of these do."""
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


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address or network, such as 192.168.1.5 or 192.168.1.0/24")


def wyoming_address(text: str, allowed: list) -> tuple[str, int]:
    """ "0.0.0.0:10300" -> host and port"""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isdecimal() and int(port) < 65_536):
        raise UsageError(f"--wyoming {text}: give an address and a port, for example 127.0.0.1:10300")
    if not (allowed or is_loopback(host)):
        hint = "name its clients with --allow ADDRESS, or stay at 127.0.0.1"
        raise UsageError(f"{host} can be reached from other machines, and Wyoming has no token: {hint}")
    return host, int(port)


def check_tls(certificate: str | None, key: str | None) -> None:
    if not (certificate or key):
        return
    if not (certificate and key):
        raise UsageError("https needs both --tls-certificate and --tls-key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # ssl's errors, too
        raise UsageError(f"{certificate} and {key} cannot be used for https: {error}") from None


def opened(host: str, port: int) -> socket.socket:
    """A socket that listens there."""
    if not 0 <= port < 65_536:
        raise UsageError(f"{port} is no port: give a number up to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen at {host}:{port} ({error}): give another address or port") from None
