"""What runs on a customer's machine: probes, spool, transport, enrolment; and the protocol both ends share."""

__version__ = "0.1.0"
