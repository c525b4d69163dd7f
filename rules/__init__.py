"""Turns samples into alerts: the fleet state, PromQL as vector operations, alert states, rule packs."""
