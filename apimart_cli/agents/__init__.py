"""`mcp`: what agents can ask, over the Model Context Protocol."""
