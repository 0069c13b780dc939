"""Nearcast: run your own Open Connect."""

__version__ = "0.1.0"
