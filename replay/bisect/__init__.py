"""Which change did it: the search, the probes it asks for, and the verdict."""
