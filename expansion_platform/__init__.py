"""Expansion Platform: how much existing customers grew, why, and whether that is about to change."""
