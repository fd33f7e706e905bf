-- A region (UN M49), and the share of an account's current favourites with known markets that can be played in its markets.
-- list: How much plays in each region
-- order: account, continent, region
-- as-of: yes
-- narrow: yes
SELECT
    account,
    continent,
    region,
    count(*) AS markets,
    count(CASE WHEN available > 0 THEN 1 END) AS markets_reached,
    ${share(sum(available); sum(known))} AS share,
    min(share) AS least_share,
    max(share) AS most_share,
    account_id
FROM report_market_coverage
WHERE region IS NOT NULL
GROUP BY account_id, continent, region, account
