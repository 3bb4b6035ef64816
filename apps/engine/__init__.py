"""Trains any objective and knows none."""
