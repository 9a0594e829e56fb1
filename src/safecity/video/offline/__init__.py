"""The pipeline on a film or on recorded detections, away from any camera: gate, detector, tracker, rules."""

from safecity.video.offline.film import Coded, Film, FilmAnalysis, analyse_film
from safecity.video.offline.recorded import Recording, read_recording
from safecity.video.offline.replay import replay, rules_that_need_pictures
from safecity.video.offline.report import Report, event_line, table
from safecity.video.offline.rules_file import read_setup

__all__ = [
    "Coded",
    "Film",
    "FilmAnalysis",
    "Recording",
    "Report",
    "analyse_film",
    "event_line",
    "read_recording",
    "read_setup",
    "replay",
    "rules_that_need_pictures",
    "table",
]
