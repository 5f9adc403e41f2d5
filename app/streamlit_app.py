"""The dashboard: start it with `streamlit run app`.

Streamlit runs this file once to find out what it is to serve, and then for every page that is drawn.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # `streamlit run app` puts only app/ there
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402
from streamlit.runtime.scriptrunner import get_script_run_ctx  # noqa: E402

if get_script_run_ctx(suppress_warning=True) is None:
    from starlette.middleware import Middleware

    from app.asked import asked
    from app.guard import PARAMETER, TOKEN, Guard, token_of

    address, read_only = str(st.get_option("server.address") or ""), bool(asked().read_only)
    token = token_of(address, read_only)
    if token and TOKEN not in os.environ:  # else whoever set it has said it
        print(f"Open it with ?{PARAMETER}={token} behind its address", flush=True)
    app = st.App(Path(__file__), middleware=[Middleware(Guard, address=address, is_public=read_only)])
else:
    from app.dashboard import draw

    draw()
