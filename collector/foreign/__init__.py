"""Takes alerts that others raise, in the form of Alertmanager's API: they go through the log like everything else."""
