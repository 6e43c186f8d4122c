"""States carried to and from any OCI registry. See docs/decisions/0024-registry.md."""
