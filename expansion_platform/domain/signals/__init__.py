"""What comes before expansion: product usage."""
