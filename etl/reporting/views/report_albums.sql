-- An album of an account's favourites, now or ever; total_seconds is how long the current ones play.
-- list: Albums, by favourites now and ever
-- order: account, -current_favourites, -ever_favourites, album_id
-- as-of: yes
WITH heard AS (
    SELECT account_id, track_id, max(CASE WHEN valid_to IS NULL THEN 1 ELSE 0 END) AS is_open
    FROM favourites
    GROUP BY account_id, track_id
)
SELECT
    c.name AS account,
    n.album_id,
    n.title AS name,
    sum(h.is_open) AS current_favourites,
    count(*) AS ever_favourites,
    sum(1 - h.is_open) AS removed_favourites,
    CAST(coalesce(sum(h.is_open * t.duration_seconds), 0) AS bigint) AS total_seconds
FROM heard h
JOIN accounts c ON c.account_id = h.account_id
JOIN tracks t ON t.track_id = h.track_id
JOIN albums n ON n.album_id = t.album_id
GROUP BY c.name, n.album_id, n.title
