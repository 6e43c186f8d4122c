"""Results as people read them: text and HTML."""
