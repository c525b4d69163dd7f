"""Receives, keeps and distributes: ingest, log, register, history, Prometheus in and out, and the composition of it all."""
