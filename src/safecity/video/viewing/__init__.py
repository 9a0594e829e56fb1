"""What people see: masked live views, stills, playback and snapshots, made apart from recording.

Masks are drawn and persons made unrecognisable here, once per camera, before a picture leaves the process.
Where nobody knows who is in the picture, the picture is coarse all over. Nothing here writes into recordings.
"""
