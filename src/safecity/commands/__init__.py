"""Commands of the command line that act on a running installation: cameras, people, machines, devices."""
