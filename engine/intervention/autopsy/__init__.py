"""What happened between theta(k) and theta(k+1), and what would have prevented it."""
