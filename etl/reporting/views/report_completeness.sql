-- A fact, and of how many of an account's current favourites the service tells it.
-- list: Of how many favourites a fact is known
-- order: account, fact
-- as-of: yes
WITH counts AS (
    SELECT
        f.account_id,
        count(*) AS favourites,
        count(t.title) AS title,
        count(t.album_id) AS album,
        count(t.duration_seconds) AS duration,
        count(t.isrc) AS isrc,
        count(t.market_set_id) AS markets,
        count(t.web_url) AS web_url,
        count((SELECT min(a.position) FROM track_artists a WHERE a.track_id = f.track_id)) AS artists,
        count((SELECT min(g.position) FROM track_genres g WHERE g.track_id = f.track_id)) AS genres
    FROM favourites f
    JOIN tracks t ON t.track_id = f.track_id
    WHERE f.valid_to IS NULL
    GROUP BY f.account_id
),
facts AS (
    SELECT account_id, favourites, 'title' AS fact, title AS known FROM counts
    UNION ALL
    SELECT account_id, favourites, 'artists', artists FROM counts
    UNION ALL
    SELECT account_id, favourites, 'album', album FROM counts
    UNION ALL
    SELECT account_id, favourites, 'genres', genres FROM counts
    UNION ALL
    SELECT account_id, favourites, 'duration', duration FROM counts
    UNION ALL
    SELECT account_id, favourites, 'isrc', isrc FROM counts
    UNION ALL
    SELECT account_id, favourites, 'markets', markets FROM counts
    UNION ALL
    SELECT account_id, favourites, 'web_url', web_url FROM counts
)
SELECT
    c.name AS account,
    f.fact,
    f.known,
    f.favourites - f.known AS missing,
    ${share(f.known; f.favourites)} AS share
FROM facts f
JOIN accounts c ON c.account_id = f.account_id
