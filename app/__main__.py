"""`python -m app`: start the dashboard and say where it is, or why it can't be started."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from engine.allowed import add_options, allow, allowed
from engine.errors import BadInputError

LOOPBACK = "127.0.0.1"
ADDRESS = "STREAMLIT_SERVER_ADDRESS"
"""The environment variable by which a person chooses another address than this machine's own; no file can."""


def main() -> None:
    """Check address and port, then become Streamlit."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Start the dashboard on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--runs", type=Path, action="append", default=[], metavar="DIR", help="look for runs here")
    add_options(parser)
    arguments = parser.parse_args()
    address, port = os.environ.get(ADDRESS) or LOOPBACK, arguments.port
    try:
        allow(arguments.base, download=arguments.download)
    except BadInputError as error:
        sys.exit(str(error))
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        if address != LOOPBACK:
            sys.exit(f"{ADDRESS} is {address}, and port {port} can't be used there ({error.strerror})")
        sys.exit(f"port {port} can't be used ({error.strerror}); choose another: make app PORT={port + 1}")
    except OverflowError:
        sys.exit(f"port {port} can't be used; it must be from 0 to 65535")
    shown = f"[{address}]" if ":" in address else address
    print(f"The dashboard is at http://{shown}:{port} (Ctrl+C stops it)", flush=True)
    told = [word for folder in arguments.runs for word in ("--runs", str(folder.resolve()))]
    # -P: nothing is imported from the working directory, which may be a folder of received runs.
    streamlit = [sys.executable, "-P", "-m", "streamlit", "run", str(Path(__file__).with_name("streamlit_app.py"))]
    os.execv(sys.executable, [*streamlit, *settings(address, port), "--", *told, *allowed().options])


def settings(address: str, port: int) -> list[str]:
    """What Streamlit is told in words, so that no configuration file says otherwise."""
    chosen = {
        "server.address": address,
        "server.port": port,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    return [f"--{name}={value}" for name, value in chosen.items()]


if __name__ == "__main__":
    main()
