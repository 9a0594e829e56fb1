"""Which unit, by which road, how fast, and why: travel times and recommendations.

`DispatchRoom` holds the city's road graph ready; `Router` gives vehicles their way.
"""

from safecity.dispatch.recommend import recommend
from safecity.dispatch.room import DispatchRoom
from safecity.dispatch.travel import Route, Router, travel_to

__all__ = ["DispatchRoom", "Route", "Router", "recommend", "travel_to"]
