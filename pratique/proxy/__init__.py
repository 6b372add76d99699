"""Other MCP servers as sources of tools: connections to them, and what is done with what they say."""
