"""How well objects are followed: files of the MOT Challenge, CLEAR-MOT and identity scores."""

from safecity.bench.mot.files import Film, Picture, read_film
from safecity.bench.mot.scores import Scores, score

__all__ = ["Film", "Picture", "Scores", "read_film", "score"]
