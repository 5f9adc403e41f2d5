"""`python -m app`: start the dashboard and say where it is, or why it can't be started."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Check the port, then become Streamlit."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Start the dashboard on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--runs", type=Path, action="append", default=[], metavar="DIR", help="look for runs here")
    arguments = parser.parse_args()
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", arguments.port))
    except OSError as error:
        sys.exit(
            f"port {arguments.port} can't be used ({error.strerror}); choose another: make app PORT={arguments.port + 1}"
        )
    except OverflowError:
        sys.exit(f"port {arguments.port} can't be used; it must be from 0 to 65535")
    print(f"The dashboard is at http://127.0.0.1:{arguments.port} (Ctrl+C stops it)", flush=True)
    os.chdir(ROOT)
    runs = [word for folder in arguments.runs for word in ("--runs", str(folder.resolve()))]
    streamlit = [sys.executable, "-m", "streamlit", "run", "app", "--server.headless=true"]
    os.execv(sys.executable, [*streamlit, f"--server.port={arguments.port}", "--", *runs])


if __name__ == "__main__":
    main()
