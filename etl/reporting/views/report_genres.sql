-- A genre of an account's favourites, now or ever; total_seconds is how long the current ones play.
-- list: Genres, by favourites now and ever
-- order: account, -current_favourites, -ever_favourites, genre_id
-- as-of: yes
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
