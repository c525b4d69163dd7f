"""The discovery helper: a program of its own, the only one that needs raw sockets, and the only one that may use scapy.

It reads one task from its standard input, writes what it sees to its standard output, and ends when its input ends.
"""
