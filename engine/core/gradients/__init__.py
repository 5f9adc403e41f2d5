"""Inner products with the records' gradients, and the derivatives of an update."""
