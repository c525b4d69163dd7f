"""The register: which devices are under contract, whose they are, and with what they may report."""

from collector.register.register import OWN, Device, NewDevice, Polled, Register

__all__ = ["OWN", "Device", "NewDevice", "Polled", "Register"]
