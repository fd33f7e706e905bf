-- An artist of an account's favourites, now or ever; total_seconds is how long known_durations of the current ones play.
-- list: Artists, by favourites now and ever
-- order: account, -current_favourites, -ever_favourites, artist_id
-- as-of: yes
SELECT
    c.name AS account,
    n.artist_id,
    n.name,
    count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS current_favourites,
    count(DISTINCT f.track_id) AS ever_favourites,
    count(DISTINCT f.track_id) - count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS removed_favourites,
    CAST(CASE
        WHEN count(CASE WHEN f.valid_to IS NULL THEN 1 END) = 0 THEN 0
        ELSE sum(CASE WHEN f.valid_to IS NULL THEN t.duration_seconds END)
    END AS bigint) AS total_seconds,
    count(CASE WHEN f.valid_to IS NULL THEN t.duration_seconds END) AS known_durations,
    c.account_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN track_artists l ON l.track_id = f.track_id
JOIN artists n ON n.artist_id = l.artist_id
GROUP BY c.account_id, n.artist_id, c.name, n.name
