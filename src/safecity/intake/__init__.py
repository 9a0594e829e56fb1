"""One file per way in: parse, validate, Observation, micro-batcher, acknowledge."""
