-- Two of the 50 tracks that most accounts have, and how many accounts (two or more) have both now.
-- list: Pairs of tracks that accounts share
-- order: -accounts, track_id, other_track_id
WITH popular AS (
    SELECT track_id, accounts
    FROM report_popular_tracks
    WHERE accounts > 0
    ORDER BY accounts DESC, track_id
    LIMIT 50
),
owned AS (
    SELECT f.account_id, p.track_id
    FROM popular p
    JOIN favourites f ON f.track_id = p.track_id AND f.valid_to IS NULL
),
pairs AS (
    SELECT o.track_id, e.track_id AS other_track_id, count(*) AS accounts
    FROM owned o
    JOIN owned e ON e.account_id = o.account_id AND e.track_id > o.track_id
    GROUP BY o.track_id, e.track_id
    HAVING count(*) > 1
)
SELECT
    s.track_id,
    t.title,
    s.other_track_id,
    u.title AS other_title,
    s.accounts,
    p.accounts AS accounts_of_track,
    q.accounts AS accounts_of_other,
    ${share(s.accounts; p.accounts)} AS share
FROM pairs s
JOIN popular p ON p.track_id = s.track_id
JOIN popular q ON q.track_id = s.other_track_id
JOIN tracks t ON t.track_id = s.track_id
JOIN tracks u ON u.track_id = s.other_track_id
