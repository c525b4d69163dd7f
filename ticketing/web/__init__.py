"""The pages: queue, incident, devices; server-rendered, live by server-sent events."""
