"""Reachability: ICMP to many devices from one socket, and TCP."""
