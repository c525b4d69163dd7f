"""Diagnoses: what is asked of a device about a fault, what it found, and the audit of both."""
