"""Takes what agents send: authenticated, bounded, told apart from what was taken before, durable before the answer."""
