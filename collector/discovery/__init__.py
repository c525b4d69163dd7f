"""What hangs on what: read from the tables of network gear, derived, kept in the register with its evidence."""
