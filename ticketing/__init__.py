"""Turns alerts into incidents: decisions, timeline, storage, the web pages."""
