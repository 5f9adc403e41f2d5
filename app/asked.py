"""What the person who started the dashboard asks for: the words after `streamlit run app --`, which `python -m app` hands on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.allowed import add_options


def asked() -> argparse.Namespace:
    """`runs` (folders, or None), `read_only`, and what `engine.allowed.allow_options` takes."""
    parser = argparse.ArgumentParser(prog="streamlit run app --")
    parser.add_argument("--runs", type=Path, action="append", metavar="DIR")
    parser.add_argument("--read-only", action="store_true")
    add_options(parser)
    return parser.parse_known_args(sys.argv[1:])[0]
