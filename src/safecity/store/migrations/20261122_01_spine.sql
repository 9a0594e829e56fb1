-- the spine: journal, outbox, entities, observations, access
-- depends:

-- migrate: apply

-- Stored times come as RFC 3339 text with an explicit offset, so the cast depends on no setting.
CREATE FUNCTION utc(moment text) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN moment::timestamptz;

-- ---------------------------------------------------------------------------- journal

CREATE TABLE journal (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    payload text NOT NULL,
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    touched text[] NOT NULL,
    at timestamptz NOT NULL GENERATED ALWAYS AS (utc(payload::jsonb ->> 'at')) STORED,
    actor text NOT NULL GENERATED ALWAYS AS (payload::jsonb ->> 'actor') STORED,
    action text NOT NULL GENERATED ALWAYS AS (payload::jsonb ->> 'action') STORED
);
COMMENT ON TABLE journal IS 'What was done, by whom, to what, why. Append-only; hash-chained.';
COMMENT ON COLUMN journal.seq IS 'Position in the chain, 1, 2, 3 ...; equals the order of commits.';
COMMENT ON COLUMN journal.payload IS 'Canonical JSON of model.journal.Entry; exactly these bytes are hashed.';
COMMENT ON COLUMN journal.previous_hash IS 'hash of the entry before; 32 zero bytes before the first.';
COMMENT ON COLUMN journal.hash IS 'SHA-256 over previous_hash and payload.';
COMMENT ON COLUMN journal.touched IS 'kind/id of every object the entry concerns, to find an object''s history.';
COMMENT ON COLUMN journal.at IS 'When it was done, UTC; read from the payload so that both cannot differ.';
COMMENT ON COLUMN journal.actor IS 'Who did it; read from the payload.';
COMMENT ON COLUMN journal.action IS 'What was done; read from the payload.';
CREATE INDEX journal_touched ON journal USING gin (touched);
CREATE INDEX journal_at ON journal USING brin (at);

CREATE TABLE journal_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    seq bigint NOT NULL CHECK (seq >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE journal_head IS 'The end of the chain. Locked by each writer until it commits: order of seq is order of commits.';
COMMENT ON COLUMN journal_head.singleton IS 'There is one row.';
COMMENT ON COLUMN journal_head.seq IS 'seq of the last entry, 0 before the first.';
COMMENT ON COLUMN journal_head.hash IS 'hash of the last entry.';
INSERT INTO journal_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END
$$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq),
    subject text NOT NULL,
    payload bytea NOT NULL
);
COMMENT ON TABLE outbox IS 'What must still be published, written in the transaction of the change.';
COMMENT ON COLUMN outbox.id IS 'Order of publication.';
COMMENT ON COLUMN outbox.seq IS 'The journal entry it comes from.';
COMMENT ON COLUMN outbox.subject IS 'Bus subject.';
COMMENT ON COLUMN outbox.payload IS 'Bus message, JSON.';

CREATE TABLE command_receipt (
    actor text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    answer bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (actor, key)
);
COMMENT ON TABLE command_receipt IS 'Commands that were carried out: a repeat with the same key gets the same answer.';
COMMENT ON COLUMN command_receipt.actor IS 'Who sent the command.';
COMMENT ON COLUMN command_receipt.key IS 'The client''s own key for the command.';
COMMENT ON COLUMN command_receipt.request_hash IS 'SHA-256 of the command, so that a key cannot be used for another.';
COMMENT ON COLUMN command_receipt.answer IS 'What was answered, JSON.';
COMMENT ON COLUMN command_receipt.at IS 'When, UTC.';
CREATE INDEX command_receipt_at ON command_receipt USING brin (at);

-- ---------------------------------------------------------------------------- entities

CREATE TABLE incident (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    number text NOT NULL UNIQUE GENERATED ALWAYS AS (doc ->> 'number') STORED,
    state text NOT NULL GENERATED ALWAYS AS (doc ->> 'state') STORED
        CHECK (state IN ('new', 'acknowledged', 'dispatched', 'on_scene', 'cleared', 'closed')),
    priority smallint NOT NULL GENERATED ALWAYS AS ((doc ->> 'priority')::smallint) STORED
        CHECK (priority BETWEEN 1 AND 5),
    opened_at timestamptz NOT NULL GENERATED ALWAYS AS (utc(doc ->> 'opened_at')) STORED,
    location point NOT NULL GENERATED ALWAYS AS
        (point((doc #>> '{place,lon}')::float8, (doc #>> '{place,lat}')::float8)) STORED
);
COMMENT ON TABLE incident IS 'Incidents as they are now; each row is the last change in the journal.';
COMMENT ON COLUMN incident.id IS 'ULID, proposed by fusion from the first alarm.';
COMMENT ON COLUMN incident.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN incident.doc IS 'model.incident.Incident as JSON; the other columns are read from it.';
COMMENT ON COLUMN incident.number IS 'What people call it: year-counter.';
COMMENT ON COLUMN incident.state IS 'model.incident.IncidentState.';
COMMENT ON COLUMN incident.priority IS '1 (most urgent) to 5.';
COMMENT ON COLUMN incident.opened_at IS 'When it was opened, UTC.';
COMMENT ON COLUMN incident.location IS 'Longitude and latitude in degrees, WGS 84.';
CREATE INDEX incident_open ON incident (priority, opened_at) WHERE state <> 'closed';
CREATE INDEX incident_location ON incident USING gist (location);
CREATE INDEX incident_opened_at ON incident (opened_at);

CREATE TABLE incident_counter (
    year smallint PRIMARY KEY,
    last integer NOT NULL CHECK (last > 0)
);
COMMENT ON TABLE incident_counter IS 'Last incident number given in each year.';
COMMENT ON COLUMN incident_counter.year IS 'Calendar year, UTC.';
COMMENT ON COLUMN incident_counter.last IS 'Counter, from 1.';

CREATE TABLE alarm (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    incident_id text NOT NULL GENERATED ALWAYS AS (doc ->> 'incident_id') STORED,
    rule_id text NOT NULL GENERATED ALWAYS AS (doc ->> 'rule_id') STORED,
    source_id text NOT NULL GENERATED ALWAYS AS (doc ->> 'source_id') STORED,
    raised_at timestamptz NOT NULL GENERATED ALWAYS AS (utc(doc ->> 'raised_at')) STORED
);
COMMENT ON TABLE alarm IS 'Alarms as raised; immutable.';
COMMENT ON COLUMN alarm.id IS 'Derived from rule and observation: a repeat is the same alarm.';
COMMENT ON COLUMN alarm.seq IS 'The journal entry that brought it.';
COMMENT ON COLUMN alarm.doc IS 'model.incident.Alarm as JSON; the other columns are read from it.';
COMMENT ON COLUMN alarm.incident_id IS 'The incident that fusion proposed.';
COMMENT ON COLUMN alarm.rule_id IS 'The rule that raised it.';
COMMENT ON COLUMN alarm.source_id IS 'What observed it.';
COMMENT ON COLUMN alarm.raised_at IS 'When it was raised, UTC.';
CREATE INDEX alarm_incident ON alarm (incident_id);
CREATE INDEX alarm_raised_at ON alarm (raised_at);

CREATE TABLE call (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    state text NOT NULL GENERATED ALWAYS AS (doc ->> 'state') STORED
        CHECK (state IN ('ringing', 'claimed', 'taken', 'submitted', 'abandoned', 'closed')),
    received_at timestamptz NOT NULL GENERATED ALWAYS AS (utc(doc ->> 'received_at')) STORED,
    incident_id text GENERATED ALWAYS AS (doc ->> 'incident_id') STORED
);
COMMENT ON TABLE call IS 'Emergency calls as they are now.';
COMMENT ON COLUMN call.id IS 'The telephony system''s own id.';
COMMENT ON COLUMN call.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN call.doc IS 'model.call.Call as JSON; the other columns are read from it.';
COMMENT ON COLUMN call.state IS 'model.call.CallState.';
COMMENT ON COLUMN call.received_at IS 'When it began to ring, UTC.';
COMMENT ON COLUMN call.incident_id IS 'The incident it belongs to, once linked.';
CREATE INDEX call_open ON call (received_at) WHERE state NOT IN ('submitted', 'closed');
CREATE INDEX call_incident ON call (incident_id) WHERE incident_id IS NOT NULL;

CREATE TABLE unit (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    state text NOT NULL GENERATED ALWAYS AS (doc ->> 'state') STORED
        CHECK (state IN ('available', 'dispatched', 'en_route', 'on_scene', 'out_of_service', 'off_duty'))
);
COMMENT ON TABLE unit IS 'Vehicles with their crews as they are now.';
COMMENT ON COLUMN unit.id IS 'The agency''s id of the vehicle.';
COMMENT ON COLUMN unit.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN unit.doc IS 'model.unit.Unit as JSON; the other columns are read from it.';
COMMENT ON COLUMN unit.state IS 'model.unit.UnitState.';

CREATE TABLE unit_fix (
    unit_id text PRIMARY KEY,
    lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    speed_mps real NOT NULL CHECK (speed_mps >= 0),
    heading_deg real NOT NULL CHECK (heading_deg >= 0 AND heading_deg < 360),
    fix_time timestamptz NOT NULL
);
COMMENT ON TABLE unit_fix IS 'Last known position of each unit; telemetry, so outside the journal.';
COMMENT ON COLUMN unit_fix.unit_id IS 'unit.id.';
COMMENT ON COLUMN unit_fix.lon IS 'Longitude in degrees, WGS 84.';
COMMENT ON COLUMN unit_fix.lat IS 'Latitude in degrees, WGS 84.';
COMMENT ON COLUMN unit_fix.speed_mps IS 'Speed over ground in metres per second.';
COMMENT ON COLUMN unit_fix.heading_deg IS 'Heading in degrees clockwise from north.';
COMMENT ON COLUMN unit_fix.fix_time IS 'When the position was true, UTC; older fixes never replace newer ones.';

CREATE TABLE assignment (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    incident_id text NOT NULL GENERATED ALWAYS AS (doc ->> 'incident_id') STORED,
    unit_id text NOT NULL GENERATED ALWAYS AS (doc ->> 'unit_id') STORED,
    state text NOT NULL GENERATED ALWAYS AS (doc ->> 'state') STORED
        CHECK (state IN ('dispatched', 'en_route', 'on_scene', 'cleared', 'cancelled'))
);
COMMENT ON TABLE assignment IS 'Work of one unit on one incident; never reused.';
COMMENT ON COLUMN assignment.id IS 'ULID.';
COMMENT ON COLUMN assignment.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN assignment.doc IS 'model.unit.Assignment as JSON; the other columns are read from it.';
COMMENT ON COLUMN assignment.incident_id IS 'incident.id.';
COMMENT ON COLUMN assignment.unit_id IS 'unit.id.';
COMMENT ON COLUMN assignment.state IS 'model.unit.AssignmentState.';
CREATE INDEX assignment_incident ON assignment (incident_id);
CREATE UNIQUE INDEX assignment_one_active ON assignment (unit_id) WHERE state NOT IN ('cleared', 'cancelled');

CREATE TABLE camera (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    location point NOT NULL GENERATED ALWAYS AS
        (point((doc #>> '{place,lon}')::float8, (doc #>> '{place,lat}')::float8)) STORED
);
COMMENT ON TABLE camera IS 'Cameras as people see them; addresses and logins are not here.';
COMMENT ON COLUMN camera.id IS 'Name in subjects and folders.';
COMMENT ON COLUMN camera.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN camera.doc IS 'model.source.Camera as JSON.';
COMMENT ON COLUMN camera.location IS 'Longitude and latitude in degrees, WGS 84.';
CREATE INDEX camera_location ON camera USING gist (location);

CREATE TABLE source (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL,
    kind text NOT NULL GENERATED ALWAYS AS (doc ->> 'kind') STORED
        CHECK (kind IN ('sensor', 'camera', 'caller', 'unit', 'person'))
);
COMMENT ON TABLE source IS 'Everything registered that observes.';
COMMENT ON COLUMN source.id IS 'Name in topics and subjects.';
COMMENT ON COLUMN source.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN source.doc IS 'model.source.Source as JSON; the other columns are read from it.';
COMMENT ON COLUMN source.kind IS 'model.source.SourceKind.';

CREATE TABLE station (
    id text PRIMARY KEY,
    seq bigint NOT NULL REFERENCES journal (seq) DEFERRABLE INITIALLY DEFERRED,
    doc jsonb NOT NULL
);
COMMENT ON TABLE station IS 'Where units live.';
COMMENT ON COLUMN station.id IS 'From the city data.';
COMMENT ON COLUMN station.seq IS 'The journal entry that made the row what it is.';
COMMENT ON COLUMN station.doc IS 'model.source.Station as JSON.';

-- ---------------------------------------------------------------------------- observations

CREATE TABLE observation (
    receive_time timestamptz NOT NULL,
    event_time timestamptz NOT NULL,
    source_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('reading', 'position', 'call', 'video', 'device', 'manual')),
    property text NOT NULL,
    value double precision,
    unit text NOT NULL,
    lon double precision CHECK (lon BETWEEN -180 AND 180),
    lat double precision CHECK (lat BETWEEN -90 AND 90),
    uncertainty_m real CHECK (uncertainty_m >= 0),
    heading_deg real CHECK (heading_deg >= 0 AND heading_deg < 360),
    detail jsonb
) PARTITION BY RANGE (receive_time);
COMMENT ON TABLE observation IS 'What came in, by day of receipt; retention drops whole days.';
COMMENT ON COLUMN observation.receive_time IS 'When we got it, UTC, by our clock: a source''s wrong clock cannot misplace it.';
COMMENT ON COLUMN observation.event_time IS 'When it happened, UTC, by the source.';
COMMENT ON COLUMN observation.source_id IS 'What observed it; need not be registered.';
COMMENT ON COLUMN observation.kind IS 'model.observation.ObservationKind.';
COMMENT ON COLUMN observation.property IS 'What was observed.';
COMMENT ON COLUMN observation.value IS 'The measurement in unit; speed in m/s for positions; score 0..1 for video.';
COMMENT ON COLUMN observation.unit IS 'UCUM code.';
COMMENT ON COLUMN observation.lon IS 'Longitude in degrees, WGS 84.';
COMMENT ON COLUMN observation.lat IS 'Latitude in degrees, WGS 84.';
COMMENT ON COLUMN observation.uncertainty_m IS 'Radius in metres that holds the true place with 95 %.';
COMMENT ON COLUMN observation.heading_deg IS 'For positions: degrees clockwise from north.';
COMMENT ON COLUMN observation.detail IS 'What else the kind needs; small.';
CREATE INDEX observation_source ON observation (source_id, receive_time);
CREATE INDEX observation_time ON observation USING brin (receive_time);

CREATE TABLE bus_receipt (
    consumer text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (consumer, epoch, seq)
);
COMMENT ON TABLE bus_receipt IS 'Bus messages whose content is stored, written with the content: a redelivery changes nothing.';
COMMENT ON COLUMN bus_receipt.consumer IS 'Durable consumer that wrote.';
COMMENT ON COLUMN bus_receipt.epoch IS 'Creation of the stream in microseconds since 1970: a new stream counts anew.';
COMMENT ON COLUMN bus_receipt.seq IS 'Sequence in the stream.';

-- ---------------------------------------------------------------------------- access

CREATE TABLE account (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 2 AND 80),
    password_hash text NOT NULL,
    roles text[] NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);
COMMENT ON TABLE account IS 'People who sign in.';
COMMENT ON COLUMN account.id IS 'ULID.';
COMMENT ON COLUMN account.name IS 'What the person types to sign in; the actor in the journal, so it stays for ever.';
COMMENT ON COLUMN account.password_hash IS 'Argon2id in PHC string form.';
COMMENT ON COLUMN account.roles IS 'access.policy.Role names.';
COMMENT ON COLUMN account.created_at IS 'UTC.';
COMMENT ON COLUMN account.disabled_at IS 'UTC; null while the account may be used.';

CREATE TABLE sign_in_link (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    roles text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
COMMENT ON TABLE sign_in_link IS 'One-time links that let a new person choose a name and a password.';
COMMENT ON COLUMN sign_in_link.token_hash IS 'SHA-256 of the token; the token itself is shown once and not kept.';
COMMENT ON COLUMN sign_in_link.roles IS 'Roles of the account that it makes.';
COMMENT ON COLUMN sign_in_link.created_at IS 'UTC.';
COMMENT ON COLUMN sign_in_link.expires_at IS 'UTC; refused after.';
COMMENT ON COLUMN sign_in_link.used_at IS 'UTC; null while it may be used.';

CREATE TABLE session (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    account_id text NOT NULL REFERENCES account (id),
    csrf_token text NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    ended_at timestamptz
);
COMMENT ON TABLE session IS 'Signed-in browsers.';
COMMENT ON COLUMN session.token_hash IS 'SHA-256 of the cookie''s value.';
COMMENT ON COLUMN session.account_id IS 'Who.';
COMMENT ON COLUMN session.csrf_token IS 'Must come with every command; a cookie alone is not enough.';
COMMENT ON COLUMN session.created_at IS 'UTC.';
COMMENT ON COLUMN session.seen_at IS 'Last use, UTC, to the minute; idle sessions end.';
COMMENT ON COLUMN session.ended_at IS 'UTC; null while it lives.';

CREATE TABLE machine_token (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    name text NOT NULL UNIQUE,
    roles text[] NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);
COMMENT ON TABLE machine_token IS 'Bearer tokens of other systems: telephony, gateways, field clients.';
COMMENT ON COLUMN machine_token.token_hash IS 'SHA-256 of the token.';
COMMENT ON COLUMN machine_token.name IS 'Which system; the actor in the journal.';
COMMENT ON COLUMN machine_token.roles IS 'access.policy.Role names.';
COMMENT ON COLUMN machine_token.created_at IS 'UTC.';
COMMENT ON COLUMN machine_token.disabled_at IS 'UTC; null while it may be used.';

-- migrate: rollback

DROP TABLE machine_token, session, sign_in_link, account, bus_receipt, observation, station, source, camera,
    assignment, unit_fix, unit, call, alarm, incident_counter, incident, command_receipt, outbox, journal_head, journal;
DROP FUNCTION refuse_change();
DROP FUNCTION utc(text);
