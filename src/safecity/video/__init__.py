"""Camera sessions, recorder, motion gate, detector, tracker, event rules, live view.

One `VideoRoom` serves one shard of at most 16 cameras. It looks for events, never for identities: there is no
recognition of faces, gaits or plates here, and tracks are forgotten when they end.
"""
