"""What happened on the devices, beside their numbers: kept for some time, searched, and what they consist of."""
