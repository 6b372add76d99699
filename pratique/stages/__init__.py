"""What the stages of `pratique.runtime` are made of: one file a stage that is more than a line."""
