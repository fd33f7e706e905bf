-- A region (UN M49), and the share of an account's current favourites with known markets that can be played in its markets.
-- list: How much plays in each region
-- order: account, continent, region
-- as-of: yes
SELECT
    account,
    continent,
    region,
    count(*) AS markets,
    count(CASE WHEN available > 0 THEN 1 END) AS markets_reached,
    ${share(sum(CAST(available AS integer)); sum(CAST(known AS integer)))} AS share,
    -- All markets of an account have the same `known`.
    ${share(min(available); min(known))} AS least_share,
    ${share(max(available); min(known))} AS most_share,
    account_id
FROM report_market_coverage
WHERE region IS NOT NULL
GROUP BY account_id, continent, region, account
