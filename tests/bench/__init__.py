"""What `make bench` measures: a module an area, each with a `run()` that yields figures. Ratios are taken in one run."""
