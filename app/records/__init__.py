"""The records of a round on a page: charts and tables of them, the selection, the basket and named groups."""
