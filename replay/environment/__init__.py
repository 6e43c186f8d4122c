"""From requirements to a locked closure, from the closure to a tree of files."""
