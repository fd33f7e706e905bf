-- A current favourite that cannot be played in the account's own region, and since when this is known.
-- list: What cannot be played at home
-- order: account, -since, track_id
-- since: since
-- as-of: yes
SELECT
    c.name AS account,
    c.region,
    f.track_id,
    t.title,
    ${artists} AS artists,
    (
        SELECT min(v.valid_from)
        FROM track_versions v
        WHERE v.track_id = f.track_id AND v.market_set_id IS NOT NULL AND NOT EXISTS (
            SELECT 1
            FROM track_versions p
            JOIN market_set_members m ON m.market_set_id = p.market_set_id AND m.market_code = upper(c.region)
            WHERE p.track_id = v.track_id AND p.valid_from >= v.valid_from
        )
    ) AS since,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
LEFT JOIN market_set_members h ON h.market_set_id = t.market_set_id AND h.market_code = upper(c.region)
WHERE f.valid_to IS NULL AND c.region IS NOT NULL AND t.market_set_id IS NOT NULL AND h.market_code IS NULL
