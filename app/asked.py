"""What the person who started the dashboard asks for: the words after `streamlit run app --`, which `python -m app` hands on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine import allowed, executors


def asked() -> argparse.Namespace:
    """`runs` (folders, or None), `read_only`, `executor` and `workers`, and what `engine.allowed.allow_options` takes."""
    parser = argparse.ArgumentParser(prog="streamlit run app --")
    parser.add_argument("--runs", type=Path, action="append", metavar="DIR")
    parser.add_argument("--read-only", action="store_true")
    executors.add_options(parser)
    allowed.add_options(parser)
    return parser.parse_known_args(sys.argv[1:])[0]
