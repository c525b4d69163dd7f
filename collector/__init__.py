"""Receives, keeps and distributes: ingest, log, register, history, Prometheus in and out; puts it all together."""
