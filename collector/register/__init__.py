"""The register: which devices are under contract, whose they are, and with what they may report."""

from collector.register.register import Device, NewDevice, Register

__all__ = ["Device", "NewDevice", "Register"]
