"""Questions asked of a recorded run: what features the bottom records, how a behaviour formed, what a record looked like."""

from engine.incident_watch import register

register("engine.analysis.incidents.watch:Watch")
