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
