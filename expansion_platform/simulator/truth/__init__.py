"""What is true of the simulated company, told in plain Python; only tests and `verify` read it."""
