"""Takes Prometheus' remote writes (1.0 and 2.0) and puts their samples into the log as frames of devices."""
