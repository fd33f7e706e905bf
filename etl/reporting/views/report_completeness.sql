-- An attribute of tracks, and for how many of an account's current favourites it is known.
-- list: How many favourites have each attribute
-- order: account, fact
-- as-of: yes
WITH counts AS (
    SELECT
        c.name AS account,
        c.account_id,
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
    GROUP BY c.name, c.account_id
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
        n.account,
        n.account_id,
        k.fact,
        n.favourites,
        CASE k.fact
            WHEN 'title' THEN n.title
            WHEN 'artists' THEN n.artists
            WHEN 'album' THEN n.album
            WHEN 'genres' THEN n.genres
            WHEN 'duration' THEN n.duration
            WHEN 'isrc' THEN n.isrc
            WHEN 'markets' THEN n.markets
            WHEN 'web_url' THEN n.web_url
        END AS known
    FROM counts n
    CROSS JOIN names k
)
SELECT account, fact, known, favourites - known AS missing, ${share(known; favourites)} AS share, account_id
FROM facts
