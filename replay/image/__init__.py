"""A state as a container image: written bit for bit the same anywhere, loaded with what an engine lacks."""
