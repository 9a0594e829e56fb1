-- cameras as data: setups, holds on recordings, sealed accounts
-- depends: 20261122_01_spine

-- migrate: apply

CREATE TABLE camera_setup (
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    shard smallint NOT NULL GENERATED ALWAYS AS (coalesce((doc ->> 'shard')::smallint, 0)) STORED
        CHECK (shard >= 0)
);
COMMENT ON TABLE camera_setup IS 'What the city decided about each camera, as it is now; never its account.';
COMMENT ON COLUMN camera_setup.id IS 'camera.id: name in subjects and folders.';
COMMENT ON COLUMN camera_setup.seq IS 'The journal entry that made the row what it is; who changes a setup names it.';
COMMENT ON COLUMN camera_setup.doc IS 'model.video.CameraSetup as JSON; the other columns are read from it.';
COMMENT ON COLUMN camera_setup.shard IS 'Which video process serves it, from 0.';
CREATE INDEX camera_setup_shard ON camera_setup (shard);

CREATE TABLE hold (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    camera_id text NOT NULL GENERATED ALWAYS AS (doc ->> 'camera_id') STORED,
    start_at timestamptz NOT NULL GENERATED ALWAYS AS (utc(doc ->> 'start')) STORED,
    end_at timestamptz NOT NULL GENERATED ALWAYS AS (utc(doc ->> 'end')) STORED,
    released_at timestamptz GENERATED ALWAYS AS (utc(doc ->> 'released_at')) STORED,
    CHECK (start_at < end_at)
);
COMMENT ON TABLE hold IS 'Stretches of recordings that must not be deleted; they outlive the camera''s setup.';
COMMENT ON COLUMN hold.id IS 'ULID, derived from who asked and their key.';
COMMENT ON COLUMN hold.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN hold.doc IS 'model.video.Hold as JSON; the other columns are read from it.';
COMMENT ON COLUMN hold.camera_id IS 'Whose recordings; the camera may have been removed.';
COMMENT ON COLUMN hold.start_at IS 'From when on recordings are held, UTC.';
COMMENT ON COLUMN hold.end_at IS 'Until when recordings are held, UTC.';
COMMENT ON COLUMN hold.released_at IS 'When retention began to count again, UTC; null while it holds.';
CREATE INDEX hold_standing ON hold (camera_id) WHERE released_at IS NULL;

CREATE TABLE camera_account (
    camera_id text PRIMARY KEY REFERENCES camera_setup (id) DEFERRABLE INITIALLY DEFERRED,
    sealed bytea NOT NULL CHECK (octet_length(sealed) BETWEEN 185 AND 2048),
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE camera_account IS 'User and password of each camera, sealed: only a video process can open them (access.sealed).';
COMMENT ON COLUMN camera_account.camera_id IS 'camera_setup.id; part of what the seal is bound to.';
COMMENT ON COLUMN camera_account.sealed IS 'Version, name of the key, ephemeral key, box: at least 1 + 8 + 32 + 128 + 16 bytes.';
COMMENT ON COLUMN camera_account.seq IS 'The journal entry that says who set it.';
COMMENT ON COLUMN camera_account.changed_at IS 'When it was set, UTC.';

-- migrate: rollback

DROP TABLE camera_account, hold, camera_setup;
