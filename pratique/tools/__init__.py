"""What can be asked: tool declarations, the handles a tool gets, and the built-in tools."""
