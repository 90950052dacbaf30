"""What is true of the simulated company, in plain Python; only tests and `verify` read it."""
