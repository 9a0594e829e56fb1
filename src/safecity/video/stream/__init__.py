"""A camera's stream: connecting, reading, its time made ours; recording and watching get what comes out."""
