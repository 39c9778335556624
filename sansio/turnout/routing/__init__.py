"""The routing policy: what is tried, in which order, for how long, and why. Time and chance are inputs."""
