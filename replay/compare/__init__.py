"""What differs between two outputs, and is it more than noise."""
