"""Diversified mixture models: clusters, densities and anomalies from tables."""

__version__ = "0.1.0"
