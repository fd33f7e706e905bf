-- An artist, and how many accounts have a favourite by them now, had one ever, and have none left.
-- list: Artists that most accounts have
-- order: -accounts, -favourites, -accounts_ever, artist_id
WITH owned AS (
    SELECT l.artist_id, f.account_id, count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS favourites
    FROM favourites f
    JOIN track_artists l ON l.track_id = f.track_id
    GROUP BY l.artist_id, f.account_id
)
SELECT
    o.artist_id,
    n.name,
    count(CASE WHEN o.favourites > 0 THEN 1 END) AS accounts,
    count(*) AS accounts_ever,
    count(*) - count(CASE WHEN o.favourites > 0 THEN 1 END) AS accounts_lost,
    CAST(sum(o.favourites) AS bigint) AS favourites
FROM owned o
JOIN artists n ON n.artist_id = o.artist_id
GROUP BY o.artist_id, n.name
