"""Event rules: what happened in a camera's picture, where and why; each event once, nobody identified.

One file for each family. Rules on objects read a `Scene`, the tracks of one close look; rules on pixels read
each picture of the motion gate. `RuleEngine` runs all of one camera.
"""

from safecity.video.rules.engine import RuleEngine

__all__ = ["RuleEngine"]
