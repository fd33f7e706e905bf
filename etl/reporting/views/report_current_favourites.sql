-- A track that is a favourite of an account now, with its attributes; missing_since: not listed since then, removal not recorded.
-- list: Current favourites with their attributes
-- order: account, -valid_from, track_id
-- since: valid_from
-- as-of: yes
SELECT
    c.name AS account,
    f.track_id,
    t.title,
    ${known_artists} AS artists,
    b.title AS album,
    ${known_genres} AS genres,
    t.duration_seconds,
    t.isrc,
    s.size AS market_count,
    t.first_seen_at,
    f.added_after,
    t.web_url,
    f.missing_since,
    f.valid_from,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
LEFT JOIN albums b ON b.album_id = t.album_id
LEFT JOIN market_sets s ON s.market_set_id = t.market_set_id
${join_artists}
${join_genres}
WHERE f.valid_to IS NULL
