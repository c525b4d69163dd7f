"""Traps and informs: what devices say by themselves."""
