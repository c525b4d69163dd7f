"""Remote diagnosis: the collector asks agents, and asks network gear itself."""
