"""Questions asked of a recorded run: how a behaviour formed, what a record looked like."""
