-- recordings: a copy of the indexes that lie beside the recorded files
-- depends: 20261122_01_spine

-- migrate: apply

CREATE TABLE recording (
    camera_id text NOT NULL CHECK (camera_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    path text NOT NULL CHECK (length(path) BETWEEN 1 AND 64),
    number bigint NOT NULL CHECK (number > 0),
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL CHECK (end_time >= start_time),
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    codec text NOT NULL CHECK (codec IN ('h264', 'hevc')),
    recovered boolean NOT NULL,
    chain_before bytea NOT NULL CHECK (octet_length(chain_before) = 32),
    chain_after bytea NOT NULL CHECK (octet_length(chain_after) = 32),
    deleted_at timestamptz,
    deletion_reason text CHECK (deletion_reason IN ('age', 'share', 'space', 'missing')),
    PRIMARY KEY (camera_id, path),
    CHECK ((deleted_at IS NULL) = (deletion_reason IS NULL))
);
COMMENT ON TABLE recording IS 'Recorded files, copied from each camera''s index; the folder is the truth.';
COMMENT ON COLUMN recording.camera_id IS 'camera.id; the camera may have been removed.';
COMMENT ON COLUMN recording.path IS 'Below the camera''s folder: DAY/TIME.mp4.';
COMMENT ON COLUMN recording.number IS 'Which entry of the camera''s index it is, from 1.';
COMMENT ON COLUMN recording.start_time IS 'First picture, UTC, by our clock.';
COMMENT ON COLUMN recording.end_time IS 'End of the last picture, UTC, by our clock.';
COMMENT ON COLUMN recording.size_bytes IS 'Bytes of the file.';
COMMENT ON COLUMN recording.codec IS 'h264 or hevc; browsers often play only the first.';
COMMENT ON COLUMN recording.recovered IS 'The program was killed while it wrote this file; what was whole was kept.';
COMMENT ON COLUMN recording.chain_before IS 'Link of the camera''s hash chain (SHA-256) before the file.';
COMMENT ON COLUMN recording.chain_after IS 'Link of the chain after the file.';
COMMENT ON COLUMN recording.deleted_at IS 'When the file was deleted, UTC; null while it is there.';
COMMENT ON COLUMN recording.deletion_reason IS 'video.index.DeletionReason: too old, the camera''s share, a full disk, taken away.';
CREATE INDEX recording_time ON recording (camera_id, start_time) WHERE deleted_at IS NULL;
CREATE INDEX recording_number ON recording (camera_id, number);

CREATE TABLE recording_gap (
    camera_id text NOT NULL CHECK (camera_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    start_time timestamptz NOT NULL,
    end_time timestamptz CHECK (end_time >= start_time),
    reason text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    PRIMARY KEY (camera_id, start_time)
);
COMMENT ON TABLE recording_gap IS 'Times of which there is no recording, and why: one row an outage.';
COMMENT ON COLUMN recording_gap.camera_id IS 'camera.id; the camera may have been removed.';
COMMENT ON COLUMN recording_gap.start_time IS 'End of the last picture before it, UTC.';
COMMENT ON COLUMN recording_gap.end_time IS 'First picture after it, UTC; null while it lasts.';
COMMENT ON COLUMN recording_gap.reason IS 'An English sentence.';
COMMENT ON COLUMN recording_gap.number IS 'Which entry of the camera''s index it is, from 1.';

CREATE TABLE recording_position (
    camera_id text PRIMARY KEY CHECK (camera_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    number bigint NOT NULL CHECK (number >= 0),
    line_hash bytea NOT NULL CHECK (octet_length(line_hash) IN (0, 32)),
    recording_since timestamptz,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE recording_position IS 'How far each index has been copied, written with the copy: nothing is copied twice.';
COMMENT ON COLUMN recording_position.camera_id IS 'camera.id; the camera may have been removed.';
COMMENT ON COLUMN recording_position.number IS 'Last copied entry of the index, 0 before the first.';
COMMENT ON COLUMN recording_position.line_hash IS 'SHA-256 of its line: an index that was replaced shows.';
COMMENT ON COLUMN recording_position.recording_since IS 'Start of the file that is being written, UTC; null when none is.';
COMMENT ON COLUMN recording_position.seen_at IS 'When that was last true, UTC; some seconds ago while the video process works.';

-- migrate: rollback

DROP TABLE recording_position, recording_gap, recording;
