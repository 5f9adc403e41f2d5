"""Target functions f(theta), and what people call them (paper, section 3)."""
