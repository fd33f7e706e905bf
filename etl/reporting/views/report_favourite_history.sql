-- An interval in which a track was a favourite: added in (added_after, valid_from], removed in (removed_after, valid_to].
-- list: Each interval of each track, with bounds
-- order: account, -valid_from, track_id
-- since: valid_from
${with_last_looks}
SELECT
    c.name AS account,
    f.track_id,
    t.title,
    ${known_artists} AS artists,
    f.valid_from,
    f.valid_to,
    f.added_after,
    f.removed_after,
    f.valid_to IS NULL AS is_current,
    ${days_between(f.valid_from; coalesce(f.valid_to, looked.last_at))} AS days_kept,
    f.removal_reason,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
${join_artists}
${join_last_look}
