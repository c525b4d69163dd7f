"""Backups of a data folder, made while the collector runs, and their restoration."""

from collector.backup.making import make
from collector.backup.restoring import restore

__all__ = ["make", "restore"]
