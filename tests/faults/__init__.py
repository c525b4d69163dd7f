"""Faults injected into the real programs, with seeds; what must hold then, by a small model of our own."""
