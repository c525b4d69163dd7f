"""SNMP: the codec, the poller, the profiles, the credentials."""
