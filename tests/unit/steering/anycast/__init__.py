"""Anycast."""
