"""Many runs: the experiments of the paper, their metrics and statistics, campaigns over seeds, and their report."""
