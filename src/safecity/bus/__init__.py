"""NATS JetStream: subjects, streams, consumers, the micro-batcher."""
