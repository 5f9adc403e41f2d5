"""`python -m app`: start the dashboard and say where it is, or why it can't be started."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.guard import PARAMETER, TOKEN, token_of
from engine.__main__ import run
from engine.allowed import allowed
from engine.cli.options import Executor, Workers, folder, with_allowing
from engine.errors import BadInputError
from engine.executors import Pool

LOOPBACK = "127.0.0.1"
ADDRESS = "STREAMLIT_SERVER_ADDRESS"
"""The environment variable by which a person chooses another address than this machine's own; no file can."""


def dashboard(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8501,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Look for runs here, or at an address (s3://BUCKET/RUNS); by default in sample_runs and runs.",
            parser=folder,
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option("--read-only", help="Show runs and write nothing: no job, basket or note; behind a proxy, too."),
    ] = False,
    executor: Executor = "processes",
    workers: Workers = None,
) -> None:
    """Start the dashboard on 127.0.0.1 and say where it is."""
    pool = Pool(executor, workers)
    pool.check()
    address = os.environ.get(ADDRESS) or LOOPBACK
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        if address != LOOPBACK:
            raise BadInputError(
                f"{ADDRESS} is {address}, and port {port} can't be used there ({error.strerror})"
            ) from None
        raise BadInputError(
            f"port {port} can't be used ({error.strerror}); choose another: --port {port + 1}, or make app PORT={port + 1}"
        ) from None
    except OverflowError:
        raise BadInputError(f"port {port} can't be used; it must be from 0 to 65535") from None
    shown = f"[{address}]" if ":" in address else address
    token = token_of(address, read_only)
    os.environ |= {TOKEN: token} if token else {}
    print(
        f"The dashboard is at http://{shown}:{port}{f'/?{PARAMETER}={token}' if token else ''} (Ctrl+C stops it)",
        flush=True,
    )
    told = ["--read-only"] * read_only + [word for place in runs or () for word in ("--runs", str(place.resolve()))]
    told += pool.options
    # -P: nothing is imported from the working directory, which may be a folder of received runs.
    here = Path(__file__).parent
    server = [sys.executable, "-P", str(here / "server.py"), "run", str(here / "streamlit_app.py")]
    os.execv(sys.executable, [*server, *settings(address, port), "--", *told, *allowed().options])


def settings(address: str, port: int) -> list[str]:
    """What Streamlit is told in words, so that no configuration file says otherwise."""
    chosen = {
        "server.address": address,
        "server.port": port,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    return [f"--{name}={value}" for name, value in chosen.items()]


def main() -> None:
    """`python -m app`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(with_allowing(dashboard))
    run(app, "python -m app")


if __name__ == "__main__":
    main()
