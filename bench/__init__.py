"""Measurements, as medians and ratios: ``make bench``."""
