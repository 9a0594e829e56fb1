"""HTTP and WebSocket: thin handlers over operations and store."""
