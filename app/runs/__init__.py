"""Several runs beside one another: what their policies would do, and their episodes."""
