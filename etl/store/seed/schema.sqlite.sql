-- Made by `python -m etl.store.make_template` of the files with this digest: fff2051c0ec76755c9fe23f8e667e101
-- next
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
-- next
CREATE TABLE accounts (
	account_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	boomplay_user_id TEXT, 
	user_name TEXT, 
	region TEXT, 
	"plan" TEXT, 
	schedule TEXT, 
	enabled BOOLEAN DEFAULT true NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_accounts PRIMARY KEY (account_id), 
	CONSTRAINT uq_accounts_boomplay_user_id UNIQUE (boomplay_user_id), 
	CONSTRAINT uq_accounts_name UNIQUE (name)
)
-- next
CREATE TABLE albums (
	album_id INTEGER NOT NULL, 
	title TEXT, 
	CONSTRAINT pk_albums PRIMARY KEY (album_id)
)
-- next
CREATE TABLE artists (
	artist_id INTEGER NOT NULL, 
	name TEXT, 
	CONSTRAINT pk_artists PRIMARY KEY (artist_id)
)
-- next
CREATE TABLE genres (
	genre_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_genres PRIMARY KEY (genre_id), 
	CONSTRAINT uq_genres_name UNIQUE (name)
)
-- next
CREATE TABLE market_sets (
	market_set_id INTEGER NOT NULL, 
	size INTEGER NOT NULL, 
	digest BLOB NOT NULL, 
	CONSTRAINT pk_market_sets PRIMARY KEY (market_set_id), 
	CONSTRAINT uq_market_sets_digest UNIQUE (digest)
)
-- next
CREATE TABLE markets (
	market_code TEXT NOT NULL, 
	name TEXT, 
	region TEXT, 
	continent TEXT, 
	is_iso BOOLEAN NOT NULL, 
	CONSTRAINT pk_markets PRIMARY KEY (market_code)
)
-- next
CREATE TABLE raw_blocks (
	raw_block_id INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	CONSTRAINT pk_raw_blocks PRIMARY KEY (raw_block_id)
)
-- next
CREATE TABLE snapshots (
	snapshot_id INTEGER NOT NULL, 
	digest BLOB NOT NULL, 
	size INTEGER NOT NULL, 
	items BLOB NOT NULL, 
	CONSTRAINT pk_snapshots PRIMARY KEY (snapshot_id), 
	CONSTRAINT uq_snapshots_digest UNIQUE (digest)
)
-- next
CREATE TABLE market_set_members (
	market_set_id INTEGER NOT NULL, 
	market_code TEXT NOT NULL, 
	CONSTRAINT pk_market_set_members PRIMARY KEY (market_set_id, market_code), 
	CONSTRAINT fk_market_set_members_market_code FOREIGN KEY(market_code) REFERENCES markets (market_code), 
	CONSTRAINT fk_market_set_members_market_set_id FOREIGN KEY(market_set_id) REFERENCES market_sets (market_set_id)
)
 WITHOUT ROWID
-- next
CREATE TABLE raw_items (
	raw_item_id INTEGER NOT NULL, 
	digest BLOB NOT NULL, 
	track_id BIGINT, 
	is_readable BOOLEAN NOT NULL, 
	raw_block_id INTEGER, 
	position INTEGER, 
	CONSTRAINT pk_raw_items PRIMARY KEY (raw_item_id), 
	CONSTRAINT fk_raw_items_raw_block_id FOREIGN KEY(raw_block_id) REFERENCES raw_blocks (raw_block_id), 
	CONSTRAINT uq_raw_items_digest UNIQUE (digest)
)
-- next
CREATE INDEX ix_raw_items_track_id ON raw_items (track_id)
-- next
CREATE TABLE runs (
	run_id INTEGER NOT NULL, 
	account_id INTEGER NOT NULL, 
	"trigger" TEXT NOT NULL, 
	outcome TEXT, 
	reason TEXT, 
	proven BOOLEAN DEFAULT false NOT NULL, 
	started_at VARCHAR(27) NOT NULL, 
	observed_at VARCHAR(27), 
	finished_at VARCHAR(27), 
	snapshot_id INTEGER, 
	favourites INTEGER, 
	added INTEGER DEFAULT '0' NOT NULL, 
	removed INTEGER DEFAULT '0' NOT NULL, 
	held INTEGER DEFAULT '0' NOT NULL, 
	changed INTEGER DEFAULT '0' NOT NULL, 
	rejected INTEGER DEFAULT '0' NOT NULL, 
	pages INTEGER DEFAULT '0' NOT NULL, 
	requests INTEGER DEFAULT '0' NOT NULL, 
	retries INTEGER DEFAULT '0' NOT NULL, 
	retracted_at VARCHAR(27), 
	proves_absence BOOLEAN DEFAULT false NOT NULL, 
	decision TEXT, 
	retry_at VARCHAR(27), 
	brake_minimum INTEGER, 
	brake_ratio FLOAT, 
	holder TEXT, 
	CONSTRAINT pk_runs PRIMARY KEY (run_id), 
	CONSTRAINT ck_runs_decision_known CHECK (decision IN ('approved', 'rejected')), 
	CONSTRAINT ck_runs_outcome_known CHECK (outcome IN ('succeeded', 'unchanged', 'held', 'partial', 'failed')), 
	CONSTRAINT ck_runs_trigger_known CHECK (trigger IN ('manual', 'schedule', 'backfill')), 
	CONSTRAINT ck_runs_absence_needs_proof CHECK (proven OR NOT proves_absence), 
	CONSTRAINT fk_runs_account_id FOREIGN KEY(account_id) REFERENCES accounts (account_id), 
	CONSTRAINT fk_runs_snapshot_id FOREIGN KEY(snapshot_id) REFERENCES snapshots (snapshot_id), 
	CONSTRAINT uq_runs_account_id_run_id UNIQUE (account_id, run_id)
)
-- next
CREATE INDEX ix_runs_account_id_observed_at ON runs (account_id, observed_at)
-- next
CREATE INDEX ix_runs_snapshot_id ON runs (snapshot_id)
-- next
CREATE TABLE tracks (
	track_id INTEGER NOT NULL, 
	title TEXT, 
	track_number BIGINT, 
	isrc TEXT, 
	duration_seconds BIGINT, 
	album_id INTEGER, 
	market_set_id INTEGER, 
	web_url TEXT, 
	mobile_url TEXT, 
	artwork_url TEXT, 
	artwork_width BIGINT, 
	artwork_height BIGINT, 
	first_seen_at VARCHAR(27) NOT NULL, 
	changed_at VARCHAR(27), 
	facts_digest BLOB, 
	sighted_at VARCHAR(27), 
	CONSTRAINT pk_tracks PRIMARY KEY (track_id), 
	CONSTRAINT fk_tracks_album_id FOREIGN KEY(album_id) REFERENCES albums (album_id), 
	CONSTRAINT fk_tracks_market_set_id FOREIGN KEY(market_set_id) REFERENCES market_sets (market_set_id)
)
-- next
CREATE INDEX ix_tracks_album_id ON tracks (album_id)
-- next
CREATE TABLE favourites (
	account_id INTEGER NOT NULL, 
	favourite_id BIGINT NOT NULL, 
	track_id INTEGER NOT NULL, 
	valid_from VARCHAR(27) NOT NULL, 
	valid_to VARCHAR(27), 
	added_after VARCHAR(27), 
	removed_after VARCHAR(27), 
	added_run_id INTEGER NOT NULL, 
	removed_run_id INTEGER, 
	last_seen_at VARCHAR(27), 
	CONSTRAINT pk_favourites PRIMARY KEY (account_id, favourite_id), 
	CONSTRAINT ck_favourites_closed_cites_run CHECK ((valid_to IS NULL) = (removed_run_id IS NULL)), 
	CONSTRAINT ck_favourites_added_between CHECK (added_after < valid_from), 
	CONSTRAINT ck_favourites_removed_between CHECK (removed_after < valid_to), 
	CONSTRAINT ck_favourites_ends_after_start CHECK (valid_to > valid_from), 
	CONSTRAINT ck_favourites_open_not_removed CHECK (valid_to IS NOT NULL OR removed_after IS NULL), 
	CONSTRAINT fk_favourites_account_id_added_run_id FOREIGN KEY(account_id, added_run_id) REFERENCES runs (account_id, run_id), 
	CONSTRAINT fk_favourites_account_id_removed_run_id FOREIGN KEY(account_id, removed_run_id) REFERENCES runs (account_id, run_id), 
	CONSTRAINT fk_favourites_account_id FOREIGN KEY(account_id) REFERENCES accounts (account_id), 
	CONSTRAINT fk_favourites_track_id FOREIGN KEY(track_id) REFERENCES tracks (track_id), 
	CONSTRAINT uq_favourites_account_id_track_id_valid_from UNIQUE (account_id, track_id, valid_from)
)
 WITHOUT ROWID
-- next
CREATE INDEX ix_favourites_removed_run_id ON favourites (removed_run_id) WHERE removed_run_id IS NOT NULL
-- next
CREATE INDEX ix_favourites_track_id ON favourites (track_id)
-- next
CREATE UNIQUE INDEX uq_favourites_open ON favourites (account_id, track_id) WHERE valid_to IS NULL
-- next
CREATE TABLE rejects (
	run_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	track_id BIGINT, 
	reason TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_rejects PRIMARY KEY (run_id, position), 
	CONSTRAINT fk_rejects_run_id FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
-- next
CREATE TABLE track_artists (
	track_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	artist_id INTEGER NOT NULL, 
	role TEXT, 
	CONSTRAINT pk_track_artists PRIMARY KEY (track_id, position), 
	CONSTRAINT fk_track_artists_artist_id FOREIGN KEY(artist_id) REFERENCES artists (artist_id), 
	CONSTRAINT fk_track_artists_track_id FOREIGN KEY(track_id) REFERENCES tracks (track_id)
)
 WITHOUT ROWID
-- next
CREATE INDEX ix_track_artists_artist_id ON track_artists (artist_id)
-- next
CREATE TABLE track_genres (
	track_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	genre_id INTEGER NOT NULL, 
	CONSTRAINT pk_track_genres PRIMARY KEY (track_id, position), 
	CONSTRAINT fk_track_genres_genre_id FOREIGN KEY(genre_id) REFERENCES genres (genre_id), 
	CONSTRAINT fk_track_genres_track_id FOREIGN KEY(track_id) REFERENCES tracks (track_id)
)
 WITHOUT ROWID
-- next
CREATE INDEX ix_track_genres_genre_id ON track_genres (genre_id)
-- next
CREATE TABLE track_versions (
	track_id INTEGER NOT NULL, 
	valid_from VARCHAR(27) NOT NULL, 
	valid_to VARCHAR(27), 
	title TEXT, 
	album_id BIGINT, 
	market_set_id INTEGER, 
	facts TEXT NOT NULL, 
	facts_digest BLOB NOT NULL, 
	CONSTRAINT pk_track_versions PRIMARY KEY (track_id, valid_from), 
	CONSTRAINT ck_track_versions_ends_after_start CHECK (valid_to > valid_from), 
	CONSTRAINT fk_track_versions_market_set_id FOREIGN KEY(market_set_id) REFERENCES market_sets (market_set_id), 
	CONSTRAINT fk_track_versions_track_id FOREIGN KEY(track_id) REFERENCES tracks (track_id)
)
-- next
CREATE UNIQUE INDEX uq_track_versions_current ON track_versions (track_id) WHERE valid_to IS NULL
-- next
CREATE TRIGGER favourites_overlap_insert BEFORE INSERT ON favourites 
WHEN EXISTS (
    SELECT 1 FROM favourites f
    WHERE f.account_id = NEW.account_id AND f.track_id = NEW.track_id AND f.favourite_id <> NEW.favourite_id
      AND f.valid_from < coalesce(NEW.valid_to, '9999') AND NEW.valid_from < coalesce(f.valid_to, '9999')
)
BEGIN SELECT RAISE(ABORT, 'favourites: two intervals of one track overlap'); END
-- next
CREATE TRIGGER favourites_unproven_insert BEFORE INSERT ON favourites 
WHEN NEW.removed_run_id IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = NEW.removed_run_id AND r.proven)
BEGIN SELECT RAISE(ABORT, 'favourites: an interval that ends must cite a proven run'); END
-- next
CREATE TRIGGER favourites_overlap_update BEFORE UPDATE ON favourites 
WHEN EXISTS (
    SELECT 1 FROM favourites f
    WHERE f.account_id = NEW.account_id AND f.track_id = NEW.track_id AND f.favourite_id <> NEW.favourite_id
      AND f.valid_from < coalesce(NEW.valid_to, '9999') AND NEW.valid_from < coalesce(f.valid_to, '9999')
)
BEGIN SELECT RAISE(ABORT, 'favourites: two intervals of one track overlap'); END
-- next
CREATE TRIGGER favourites_unproven_update BEFORE UPDATE ON favourites 
WHEN NEW.removed_run_id IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = NEW.removed_run_id AND r.proven)
BEGIN SELECT RAISE(ABORT, 'favourites: an interval that ends must cite a proven run'); END
-- next
CREATE TRIGGER runs_proof_stays BEFORE UPDATE OF proven ON runs
WHEN OLD.proven AND NOT NEW.proven AND EXISTS (SELECT 1 FROM favourites f WHERE f.removed_run_id = OLD.run_id)
BEGIN SELECT RAISE(ABORT, 'runs: a run that favourites cite as proof stays proven'); END
-- next
CREATE TABLE tokens (
	account_id INTEGER NOT NULL, 
	place TEXT NOT NULL, 
	reference TEXT, 
	secret BLOB, 
	fingerprint BLOB, 
	is_renewable BOOLEAN DEFAULT false NOT NULL, 
	state TEXT NOT NULL, 
	reason TEXT, 
	suspect_since VARCHAR(27), 
	expires_at VARCHAR(27), 
	updated_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_tokens PRIMARY KEY (account_id), 
	CONSTRAINT ck_tokens_ck_tokens_place_known CHECK (place IN ('database', 'environment', 'file')), 
	CONSTRAINT ck_tokens_ck_tokens_state_known CHECK (state IN ('valid', 'suspect', 'dead')), 
	CONSTRAINT ck_tokens_ck_tokens_secret_in_place CHECK ((place = 'database') = (secret IS NOT NULL)), 
	CONSTRAINT ck_tokens_ck_tokens_reference_elsewhere CHECK ((place = 'database') = (reference IS NULL)), 
	CONSTRAINT fk_tokens_account_id FOREIGN KEY(account_id) REFERENCES accounts (account_id) ON DELETE CASCADE
)
-- next
CREATE TABLE schedules (
	account_id INTEGER NOT NULL, 
	schedule TEXT NOT NULL, 
	next_run_at VARCHAR(27) NOT NULL, 
	parked_until VARCHAR(27), 
	failures_in_a_row INTEGER DEFAULT '0' NOT NULL, 
	updated_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_schedules PRIMARY KEY (account_id), 
	CONSTRAINT fk_schedules_account_id FOREIGN KEY(account_id) REFERENCES accounts (account_id) ON DELETE CASCADE
)
-- next
CREATE INDEX ix_schedules_next_run_at ON schedules (next_run_at)
-- next
CREATE TABLE walk_pages (
	account_id INTEGER NOT NULL, 
	page_offset BIGINT NOT NULL, 
	body BLOB NOT NULL, 
	fetched_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_walk_pages PRIMARY KEY (account_id, page_offset), 
	CONSTRAINT fk_walk_pages_account_id FOREIGN KEY(account_id) REFERENCES accounts (account_id) ON DELETE CASCADE
)
-- next
CREATE TABLE digests (
	account_id INTEGER NOT NULL, 
	channel TEXT NOT NULL, 
	run_id INTEGER NOT NULL, 
	held_run_id INTEGER, 
	told_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_digests PRIMARY KEY (account_id, channel), 
	CONSTRAINT fk_digests_account_id FOREIGN KEY(account_id) REFERENCES accounts (account_id) ON DELETE CASCADE
)
-- next
CREATE INDEX ix_favourites_missed ON favourites (account_id) WHERE last_seen_at IS NOT NULL
-- next
CREATE INDEX ix_favourites_open ON favourites (account_id, track_id, valid_to) WHERE valid_to IS NULL
-- next
CREATE VIEW report_albums AS
SELECT
    c.name AS account,
    n.album_id,
    n.title AS name,
    count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS current_favourites,
    count(DISTINCT f.track_id) AS ever_favourites,
    count(DISTINCT f.track_id) - count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS removed_favourites,
    CAST(coalesce(sum(CASE WHEN f.valid_to IS NULL THEN t.duration_seconds END), 0) AS bigint) AS total_seconds
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN albums n ON n.album_id = t.album_id
GROUP BY c.name, n.album_id, n.title
-- next
CREATE VIEW report_artist_changes AS
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
moments AS (
    SELECT
        c.name AS account,
        l.artist_id,
        CASE e.side WHEN 1 THEN f.valid_from ELSE f.valid_to END AS changed_at,
        sum(e.side) AS step
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN track_artists l ON l.track_id = f.track_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.name, l.artist_id, CASE e.side WHEN 1 THEN f.valid_from ELSE f.valid_to END
),
counted AS (
    SELECT
        account,
        artist_id,
        changed_at,
        step,
        sum(step) OVER (PARTITION BY account, artist_id ORDER BY changed_at) AS favourites
    FROM moments
)
SELECT
    m.account,
    m.changed_at,
    CASE WHEN m.favourites = 0 THEN 'lost' ELSE 'gained' END AS change,
    m.artist_id,
    n.name,
    CAST(m.favourites AS bigint) AS favourites
FROM counted m
JOIN artists n ON n.artist_id = m.artist_id
WHERE m.step <> 0 AND (m.favourites = 0 OR m.favourites = m.step)
-- next
CREATE VIEW report_artists AS
SELECT
    c.name AS account,
    n.artist_id,
    n.name,
    count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS current_favourites,
    count(DISTINCT f.track_id) AS ever_favourites,
    count(DISTINCT f.track_id) - count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS removed_favourites,
    CAST(coalesce(sum(CASE WHEN f.valid_to IS NULL THEN t.duration_seconds END), 0) AS bigint) AS total_seconds
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN track_artists l ON l.track_id = f.track_id
JOIN artists n ON n.artist_id = l.artist_id
GROUP BY c.name, n.artist_id, n.name
-- next
CREATE VIEW report_completeness AS
WITH counts AS (
    SELECT
        c.name AS account,
        count(*) AS favourites,
        count(t.title) AS title,
        count(t.album_id) AS album,
        count(t.duration_seconds) AS duration,
        count(t.isrc) AS isrc,
        count(t.market_set_id) AS markets,
        count(t.web_url) AS web_url,
        count(a.track_id) AS artists,
        count(g.track_id) AS genres
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN tracks t ON t.track_id = f.track_id
    LEFT JOIN track_artists a ON a.track_id = f.track_id AND a.position = 1
    LEFT JOIN track_genres g ON g.track_id = f.track_id AND g.position = 1
    WHERE f.valid_to IS NULL
    GROUP BY c.name
),
names AS (
    SELECT 'title' AS fact
    UNION ALL SELECT 'artists'
    UNION ALL SELECT 'album'
    UNION ALL SELECT 'genres'
    UNION ALL SELECT 'duration'
    UNION ALL SELECT 'isrc'
    UNION ALL SELECT 'markets'
    UNION ALL SELECT 'web_url'
),
facts AS (
    SELECT
        c.account,
        n.fact,
        c.favourites,
        CASE n.fact
            WHEN 'title' THEN c.title
            WHEN 'artists' THEN c.artists
            WHEN 'album' THEN c.album
            WHEN 'genres' THEN c.genres
            WHEN 'duration' THEN c.duration
            WHEN 'isrc' THEN c.isrc
            WHEN 'markets' THEN c.markets
            WHEN 'web_url' THEN c.web_url
        END AS known
    FROM counts c
    CROSS JOIN names n
)
SELECT account, fact, known, favourites - known AS missing, (((CAST(known AS bigint) * 20000 + CAST(favourites AS bigint)) / nullif(2 * CAST(favourites AS bigint), 0)) / 10000.0) AS share
FROM facts
-- next
CREATE VIEW report_current_favourites AS
SELECT
    c.name AS account,
    f.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    b.title AS album,
    (SELECT group_concat(name, ', ') FROM (SELECT g.name FROM track_genres tg JOIN genres g ON g.genre_id = tg.genre_id WHERE tg.track_id = t.track_id ORDER BY tg.position)) AS genres,
    t.duration_seconds,
    t.isrc,
    s.size AS market_count,
    t.first_seen_at,
    f.added_after,
    t.web_url,
    f.valid_from
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
LEFT JOIN albums b ON b.album_id = t.album_id
LEFT JOIN market_sets s ON s.market_set_id = t.market_set_id
WHERE f.valid_to IS NULL
-- next
CREATE VIEW report_daily_changes AS
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
days AS (
    SELECT
        c.name AS account,
        CASE e.side WHEN 1 THEN substr(f.valid_from, 1, 10) ELSE substr(f.valid_to, 1, 10) END AS day,
        sum(CASE e.side WHEN 1 THEN 1 ELSE 0 END) AS added,
        sum(CASE e.side WHEN 1 THEN 0 ELSE 1 END) AS removed,
        sum(CASE WHEN e.side = 1 AND f.added_after IS NULL THEN 1 ELSE 0 END) AS already_there
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.name, CASE e.side WHEN 1 THEN substr(f.valid_from, 1, 10) ELSE substr(f.valid_to, 1, 10) END
)
SELECT
    d.account,
    d.day,
    d.added,
    d.removed,
    CAST(sum(d.added - d.removed) OVER (PARTITION BY d.account ORDER BY d.day) AS bigint) AS total,
    d.already_there
FROM days d
-- next
CREATE VIEW report_favourite_changes AS
SELECT
    c.name AS account,
    f.valid_from AS changed_at,
    f.added_after AS not_before,
    'added' AS change,
    f.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    f.added_run_id AS run_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
UNION ALL
SELECT
    c.name AS account,
    f.valid_to AS changed_at,
    f.removed_after AS not_before,
    'removed' AS change,
    f.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    f.removed_run_id AS run_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
WHERE f.valid_to IS NOT NULL
-- next
CREATE VIEW report_favourite_history AS
SELECT
    c.name AS account,
    f.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    f.valid_from,
    f.valid_to,
    f.added_after,
    f.removed_after,
    f.valid_to IS NULL AS is_current,
    (round(((strftime('%s', substr(coalesce(f.valid_to, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')), 1, 19)) - strftime('%s', substr(f.valid_from, 1, 19))) * 1000000 + CAST(substr(coalesce(f.valid_to, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')), 21, 6) AS integer) - CAST(substr(f.valid_from, 21, 6) AS integer)) / 864000000.0) / 100.0) AS days_kept
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
-- next
CREATE VIEW report_freshness AS
WITH last AS (
    SELECT
        c.account_id,
        c.name AS account,
        (
            SELECT max(r.observed_at)
            FROM runs r
            WHERE r.account_id = c.account_id AND r.proven AND r.outcome IS NOT NULL AND r.retracted_at IS NULL
        ) AS last_proven_at,
        (SELECT max(r.run_id) FROM runs r WHERE r.account_id = c.account_id AND r.outcome IS NOT NULL) AS run_id
    FROM accounts c
)
SELECT
    l.account,
    l.last_proven_at,
    r.started_at AS last_run_at,
    r.outcome AS last_outcome,
    (round(((strftime('%s', substr(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'), 1, 19)) - strftime('%s', substr(l.last_proven_at, 1, 19))) * 1000000 + CAST(substr(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'), 21, 6) AS integer) - CAST(substr(l.last_proven_at, 21, 6) AS integer)) / 1000.0) / 1000.0) AS seconds_since_proven
FROM last l
LEFT JOIN runs r ON r.run_id = l.run_id
-- next
CREATE VIEW report_genre_changes AS
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
moments AS (
    SELECT
        c.name AS account,
        l.genre_id,
        CASE e.side WHEN 1 THEN f.valid_from ELSE f.valid_to END AS changed_at,
        sum(e.side) AS step
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN track_genres l ON l.track_id = f.track_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.name, l.genre_id, CASE e.side WHEN 1 THEN f.valid_from ELSE f.valid_to END
),
counted AS (
    SELECT
        account,
        genre_id,
        changed_at,
        step,
        sum(step) OVER (PARTITION BY account, genre_id ORDER BY changed_at) AS favourites
    FROM moments
)
SELECT
    m.account,
    m.changed_at,
    CASE WHEN m.favourites = 0 THEN 'lost' ELSE 'gained' END AS change,
    m.genre_id,
    n.name,
    CAST(m.favourites AS bigint) AS favourites
FROM counted m
JOIN genres n ON n.genre_id = m.genre_id
WHERE m.step <> 0 AND (m.favourites = 0 OR m.favourites = m.step)
-- next
CREATE VIEW report_genres AS
SELECT
    c.name AS account,
    n.genre_id,
    n.name,
    count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS current_favourites,
    count(DISTINCT f.track_id) AS ever_favourites,
    count(DISTINCT f.track_id) - count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS removed_favourites,
    CAST(coalesce(sum(CASE WHEN f.valid_to IS NULL THEN t.duration_seconds END), 0) AS bigint) AS total_seconds
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN track_genres l ON l.track_id = f.track_id
JOIN genres n ON n.genre_id = l.genre_id
GROUP BY c.name, n.genre_id, n.name
-- next
CREATE VIEW report_market_changes AS
SELECT v.track_id, t.title, m.market_code, 'gained' AS change, v.valid_from AS changed_at
FROM track_versions p
JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to AND v.market_set_id <> p.market_set_id
JOIN tracks t ON t.track_id = v.track_id
JOIN market_set_members m ON m.market_set_id = v.market_set_id
WHERE NOT EXISTS (
    SELECT 1 FROM market_set_members o WHERE o.market_set_id = p.market_set_id AND o.market_code = m.market_code
)
UNION ALL
SELECT v.track_id, t.title, m.market_code, 'lost' AS change, v.valid_from AS changed_at
FROM track_versions p
JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to AND v.market_set_id <> p.market_set_id
JOIN tracks t ON t.track_id = v.track_id
JOIN market_set_members m ON m.market_set_id = p.market_set_id
WHERE NOT EXISTS (
    SELECT 1 FROM market_set_members o WHERE o.market_set_id = v.market_set_id AND o.market_code = m.market_code
)
-- next
CREATE VIEW report_market_coverage AS
WITH sets AS (
    SELECT c.name AS account, t.market_set_id, count(*) AS tracks
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN tracks t ON t.track_id = f.track_id
    WHERE f.valid_to IS NULL
    GROUP BY c.name, t.market_set_id
),
playable AS (
    SELECT
        s.account,
        m.market_code,
        m.name AS market,
        m.region,
        m.continent,
        CAST(sum(CASE WHEN h.market_code IS NULL THEN 0 ELSE s.tracks END) AS bigint) AS available,
        CAST(sum(s.tracks) AS bigint) AS favourites
    FROM sets s
    CROSS JOIN markets m
    LEFT JOIN market_set_members h ON h.market_set_id = s.market_set_id AND h.market_code = m.market_code
    GROUP BY s.account, m.market_code, m.name, m.region, m.continent
)
SELECT
    account,
    market_code,
    market,
    region,
    available,
    favourites,
    (((CAST(available AS bigint) * 20000 + CAST(favourites AS bigint)) / nullif(2 * CAST(favourites AS bigint), 0)) / 10000.0) AS share,
    continent
FROM playable
-- next
CREATE VIEW report_market_losses AS
WITH losses AS (
    SELECT v.track_id, m.market_code, max(v.valid_to) AS lost_at
    FROM track_versions v
    JOIN tracks t ON t.track_id = v.track_id AND t.market_set_id <> v.market_set_id
    JOIN market_set_members m ON m.market_set_id = v.market_set_id
    WHERE v.valid_to IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM market_set_members h WHERE h.market_set_id = t.market_set_id AND h.market_code = m.market_code
    )
    GROUP BY v.track_id, m.market_code
)
SELECT
    c.name AS account,
    l.market_code,
    k.name AS market,
    k.region,
    f.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    l.lost_at
FROM losses l
JOIN favourites f ON f.track_id = l.track_id AND f.valid_to IS NULL
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN markets k ON k.market_code = l.market_code
-- next
CREATE VIEW report_regretted_removals AS
WITH stays AS (
    SELECT
        c.name AS account,
        f.track_id,
        f.valid_to AS removed_at,
        lead(f.valid_from) OVER (PARTITION BY c.name, f.track_id ORDER BY f.valid_from) AS returned_at,
        first_value(f.valid_to) OVER (PARTITION BY c.name, f.track_id ORDER BY f.valid_from DESC) IS NULL AS is_current
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
)
SELECT
    s.account,
    s.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    s.removed_at,
    s.returned_at,
    (round(((strftime('%s', substr(s.returned_at, 1, 19)) - strftime('%s', substr(s.removed_at, 1, 19))) * 1000000 + CAST(substr(s.returned_at, 21, 6) AS integer) - CAST(substr(s.removed_at, 21, 6) AS integer)) / 864000000.0) / 100.0) AS days_away,
    s.is_current
FROM stays s
JOIN tracks t ON t.track_id = s.track_id
WHERE s.returned_at IS NOT NULL
-- next
CREATE VIEW report_runs AS
SELECT
    c.name AS account,
    r.run_id,
    r.trigger,
    r.outcome,
    r.reason,
    r.proven,
    r.started_at,
    (round(((strftime('%s', substr(r.finished_at, 1, 19)) - strftime('%s', substr(r.started_at, 1, 19))) * 1000000 + CAST(substr(r.finished_at, 21, 6) AS integer) - CAST(substr(r.started_at, 21, 6) AS integer)) / 1000.0) / 1000.0) AS seconds,
    r.favourites,
    r.added,
    r.removed,
    r.held,
    r.rejected,
    r.observed_at,
    r.retracted_at
FROM runs r
JOIN accounts c ON c.account_id = r.account_id
-- next
CREATE VIEW report_survival AS
WITH RECURSIVE seen AS (
    SELECT account_id, max(observed_at) AS seen_at
    FROM runs
    WHERE snapshot_id IS NOT NULL AND outcome IS NOT NULL AND retracted_at IS NULL
    GROUP BY account_id
),
stays AS (
    SELECT
        f.account_id,
        (((strftime('%s', substr(coalesce(f.valid_to, f.last_seen_at, s.seen_at), 1, 19)) - strftime('%s', substr(f.valid_from, 1, 19))) * 1000000 + CAST(substr(coalesce(f.valid_to, f.last_seen_at, s.seen_at), 21, 6) AS integer) - CAST(substr(f.valid_from, 21, 6) AS integer)) / 86400000000) AS days,
        CASE WHEN f.valid_to IS NULL THEN 0 ELSE 1 END AS removed
    FROM favourites f
    JOIN seen s ON s.account_id = f.account_id
    WHERE f.added_after IS NOT NULL
),
ages AS (
    SELECT account_id, days, count(*) AS stays, sum(removed) AS removed
    FROM stays
    GROUP BY account_id, days
),
risks AS (
    SELECT
        account_id,
        days,
        removed,
        CAST(sum(stays) OVER (PARTITION BY account_id ORDER BY days DESC) AS bigint) AS at_risk
    FROM ages
),
ends AS (
    SELECT account_id, days, removed, at_risk, row_number() OVER (PARTITION BY account_id ORDER BY days) AS place
    FROM risks
    WHERE removed > 0
),
steps AS (
    SELECT account_id, place, days, at_risk, removed, 1 - CAST(removed AS double precision) / at_risk AS survival
    FROM ends
    WHERE place = 1
    UNION ALL
    SELECT e.account_id, e.place, e.days, e.at_risk, e.removed,
        s.survival * (1 - CAST(e.removed AS double precision) / e.at_risk)
    FROM steps s
    JOIN ends e ON e.account_id = s.account_id AND e.place = s.place + 1
)
SELECT c.name AS account, s.days, s.at_risk, s.removed, round(s.survival, 4) AS survival
FROM steps s
JOIN accounts c ON c.account_id = s.account_id
-- next
CREATE VIEW report_track_changes AS
WITH pairs AS (
    SELECT
        v.track_id,
        v.valid_from AS changed_at,
        CAST(json_extract(p.facts, '$.title') AS text) AS old_title,
        CAST(json_extract(v.facts, '$.title') AS text) AS new_title,
        CAST(json_extract(p.facts, '$.track_number') AS text) AS old_track_number,
        CAST(json_extract(v.facts, '$.track_number') AS text) AS new_track_number,
        CAST(json_extract(p.facts, '$.isrc') AS text) AS old_isrc,
        CAST(json_extract(v.facts, '$.isrc') AS text) AS new_isrc,
        CAST(json_extract(p.facts, '$.duration_seconds') AS text) AS old_duration_seconds,
        CAST(json_extract(v.facts, '$.duration_seconds') AS text) AS new_duration_seconds,
        CAST(json_extract(p.facts, '$.album_title') AS text) AS old_album_title,
        CAST(json_extract(v.facts, '$.album_title') AS text) AS new_album_title,
        CAST(json_extract(p.facts, '$.web_url') AS text) AS old_web_url,
        CAST(json_extract(v.facts, '$.web_url') AS text) AS new_web_url,
        CAST(json_extract(p.facts, '$.mobile_url') AS text) AS old_mobile_url,
        CAST(json_extract(v.facts, '$.mobile_url') AS text) AS new_mobile_url,
        CAST(json_extract(p.facts, '$.artwork_url') AS text) AS old_artwork_url,
        CAST(json_extract(v.facts, '$.artwork_url') AS text) AS new_artwork_url,
        (SELECT group_concat(name, ', ') FROM (SELECT json_extract(value, '$.name') AS name FROM json_each(p.facts, '$.artists') ORDER BY key)) AS old_artists,
        (SELECT group_concat(name, ', ') FROM (SELECT json_extract(value, '$.name') AS name FROM json_each(v.facts, '$.artists') ORDER BY key)) AS new_artists,
        (SELECT group_concat(name, ', ') FROM (SELECT value AS name FROM json_each(p.facts, '$.genres') ORDER BY value)) AS old_genres,
        (SELECT group_concat(name, ', ') FROM (SELECT value AS name FROM json_each(v.facts, '$.genres') ORDER BY value)) AS new_genres
    FROM track_versions p
    JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to
    WHERE p.facts <> v.facts
)
SELECT track_id, changed_at, 'title' AS field, old_title AS old_value, new_title AS new_value
FROM pairs
WHERE (old_title IS NOT new_title)
UNION ALL
SELECT track_id, changed_at, 'artists' AS field, old_artists AS old_value, new_artists AS new_value
FROM pairs
WHERE (old_artists IS NOT new_artists)
UNION ALL
SELECT track_id, changed_at, 'album' AS field, old_album_title AS old_value, new_album_title AS new_value
FROM pairs
WHERE (old_album_title IS NOT new_album_title)
UNION ALL
SELECT track_id, changed_at, 'genres' AS field, old_genres AS old_value, new_genres AS new_value
FROM pairs
WHERE (old_genres IS NOT new_genres)
UNION ALL
SELECT track_id, changed_at, 'track_number' AS field, old_track_number AS old_value, new_track_number AS new_value
FROM pairs
WHERE (old_track_number IS NOT new_track_number)
UNION ALL
SELECT track_id, changed_at, 'duration_seconds' AS field, old_duration_seconds AS old_value, new_duration_seconds AS new_value
FROM pairs
WHERE (old_duration_seconds IS NOT new_duration_seconds)
UNION ALL
SELECT track_id, changed_at, 'isrc' AS field, old_isrc AS old_value, new_isrc AS new_value
FROM pairs
WHERE (old_isrc IS NOT new_isrc)
UNION ALL
SELECT track_id, changed_at, 'web_url' AS field, old_web_url AS old_value, new_web_url AS new_value
FROM pairs
WHERE (old_web_url IS NOT new_web_url)
UNION ALL
SELECT track_id, changed_at, 'mobile_url' AS field, old_mobile_url AS old_value, new_mobile_url AS new_value
FROM pairs
WHERE (old_mobile_url IS NOT new_mobile_url)
UNION ALL
SELECT track_id, changed_at, 'artwork_url' AS field, old_artwork_url AS old_value, new_artwork_url AS new_value
FROM pairs
WHERE (old_artwork_url IS NOT new_artwork_url)
-- next
CREATE VIEW report_unavailable AS
SELECT
    c.name AS account,
    c.region,
    f.track_id,
    t.title,
    (SELECT group_concat(name, ', ') FROM (SELECT a.name FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id ORDER BY ta.position)) AS artists,
    coalesce(
        (
            SELECT max(v.valid_to)
            FROM track_versions v
            JOIN market_set_members m ON m.market_set_id = v.market_set_id AND m.market_code = upper(c.region)
            WHERE v.track_id = f.track_id
        ),
        (SELECT min(v.valid_from) FROM track_versions v WHERE v.track_id = f.track_id)
    ) AS since
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
LEFT JOIN market_set_members h ON h.market_set_id = t.market_set_id AND h.market_code = upper(c.region)
WHERE f.valid_to IS NULL AND c.region IS NOT NULL AND t.market_set_id IS NOT NULL AND h.market_code IS NULL
-- next
CREATE VIEW report_weekly_churn AS
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
weeks AS (
    SELECT
        c.name AS account,
        CASE e.side WHEN 1 THEN date(substr(f.valid_from, 1, 10), 'weekday 0', '-6 days') ELSE date(substr(f.valid_to, 1, 10), 'weekday 0', '-6 days') END AS week,
        sum(CASE e.side WHEN 1 THEN 1 ELSE 0 END) AS added,
        sum(CASE e.side WHEN 1 THEN 0 ELSE 1 END) AS removed
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.name, CASE e.side WHEN 1 THEN date(substr(f.valid_from, 1, 10), 'weekday 0', '-6 days') ELSE date(substr(f.valid_to, 1, 10), 'weekday 0', '-6 days') END
),
totals AS (
    SELECT
        account,
        week,
        added,
        removed,
        CAST(sum(added - removed) OVER (PARTITION BY account ORDER BY week) AS bigint) AS total
    FROM weeks
)
SELECT
    w.account,
    w.week,
    w.total - w.added + w.removed AS before,
    w.added,
    w.removed,
    w.total,
    (((CAST(w.removed AS bigint) * 20000 + CAST(w.total - w.added + w.removed AS bigint)) / nullif(2 * CAST(w.total - w.added + w.removed AS bigint), 0)) / 10000.0) AS churn
FROM totals w
-- next
CREATE VIEW track_markets AS
SELECT t.track_id, m.market_code
FROM tracks t
JOIN market_set_members m ON m.market_set_id = t.market_set_id
-- next
CREATE VIEW report_half_life AS
WITH halves AS (
    SELECT account, min(days) AS half_life_days
    FROM report_survival
    WHERE survival <= 0.5
    GROUP BY account
),
stays AS (
    SELECT account_id, count(*) AS stays, count(valid_to) AS removed
    FROM favourites
    WHERE added_after IS NOT NULL
    GROUP BY account_id
)
SELECT c.name AS account, s.stays, s.removed, h.half_life_days
FROM stays s
JOIN accounts c ON c.account_id = s.account_id
LEFT JOIN halves h ON h.account = c.name
-- next
CREATE VIEW report_market_reach AS
SELECT DISTINCT
    account,
    continent,
    region,
    count(*) OVER region_of_account AS markets,
    sum(CASE WHEN available > 0 THEN 1 ELSE 0 END) OVER region_of_account AS markets_reached,
    (((CAST(sum(available) OVER region_of_account AS bigint) * 20000 + CAST(sum(favourites) OVER region_of_account AS bigint)) / nullif(2 * CAST(sum(favourites) OVER region_of_account AS bigint), 0)) / 10000.0) AS share,
    min(share) OVER region_of_account AS least_share,
    max(share) OVER region_of_account AS most_share
FROM report_market_coverage
WHERE region IS NOT NULL
WINDOW region_of_account AS (PARTITION BY account, continent, region)
-- next
INSERT INTO alembic_version (version_num) VALUES ('0005')
