"""What happens at the simulated company: what it sells, and what its customers decide."""
