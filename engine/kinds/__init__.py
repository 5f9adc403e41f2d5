"""The kinds of runs: each is what the core does not know of its records. A new one is a line here."""

from engine.known_kinds import register

_CONTROL, _LANGUAGE, _RECORDED = "engine.kinds.control", "engine.kinds.language", "engine.kinds.recorded"
register("control", f"{_CONTROL}.kind:KIND", f"{_CONTROL}.tables:COLUMNS", [("records",)])
register(
    "language",
    f"{_LANGUAGE}.kind:KIND",
    f"{_LANGUAGE}.tables:COLUMNS",
    [("sequences", "tokens"), ("validation", "validation_tokens")],
)
register("recorded", f"{_RECORDED}.kind:KIND", f"{_RECORDED}.tables:COLUMNS", [("records",)])
