"""The simulated city: callers, units, sensors, cameras."""
