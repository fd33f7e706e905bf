-- A region (UN M49), and how far an account's current favourites reach there: the share that can be played, over its markets.
-- list: How much plays in each region
-- order: account, continent, region
-- as-of: yes
SELECT
    account,
    continent,
    region,
    count(*) AS markets,
    sum(CASE WHEN available > 0 THEN 1 ELSE 0 END) AS markets_reached,
    ${share(sum(available); sum(favourites))} AS share,
    min(share) AS least_share,
    max(share) AS most_share
FROM report_market_coverage
WHERE region IS NOT NULL
GROUP BY account, continent, region
