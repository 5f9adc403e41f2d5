"""The kinds of runs: each is what the core does not know of its records. A new one is a line here."""

from engine.known_kinds import register

register("control", "engine.kinds.control.kind:KIND", [("records",)])
register("language", "engine.kinds.language.kind:KIND", [("sequences", "tokens"), ("validation", "validation_tokens")])
