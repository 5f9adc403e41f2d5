"""The dashboard. It imports `engine`; `engine` knows nothing of it."""
