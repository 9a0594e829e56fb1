"""A camera as the video rooms need it: what the city decided about it, and its account."""

from urllib.parse import quote

from safecity.model.base import Noun
from safecity.model.video import CameraSetup, StreamRole


class CameraConfig(Noun, frozen=True):
    """How one camera is reached and watched. The account never leaves the video rooms and is in no repr."""

    setup: CameraSetup
    user: str = ""
    password: str = ""

    @property
    def id(self) -> str:
        """Return the camera's id."""
        return self.setup.id

    def __repr__(self) -> str:
        """Name the camera without its address and account."""
        return f"CameraConfig(id={self.setup.id!r}, name={self.setup.name!r})"

    def has_stream(self, role: StreamRole) -> bool:
        """Return whether the camera has this stream."""
        return role is StreamRole.MAIN or bool(self.setup.sub_url)

    def address(self, role: StreamRole = StreamRole.MAIN) -> str:
        """Return a stream's address with the account in it, only for the hands of FFmpeg."""
        url = self.setup.url if role is StreamRole.MAIN else self.setup.sub_url
        scheme, _, rest = url.partition("://")
        if not self.user or scheme == "file":
            return url
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"
