"""What the parts of the bench share."""
