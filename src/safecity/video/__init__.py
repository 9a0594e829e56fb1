"""Camera sessions, recorder, motion gate, detector, tracker, event rules, live view."""
