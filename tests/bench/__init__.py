"""What `make bench` measures: a module an area, each with a `run()` that yields figures; ratios are of one run."""
