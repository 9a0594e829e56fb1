"""A camera's stream: connecting, reading, and its time made ours; recording and watching get what comes out."""
