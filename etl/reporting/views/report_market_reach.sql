-- A region (UN M49), and the share of an account's current favourites that can be played in its markets.
-- list: How much plays in each region
-- order: account, continent, region
-- as-of: yes
SELECT DISTINCT
    account,
    continent,
    region,
    count(*) OVER region_of_account AS markets,
    sum(CASE WHEN available > 0 THEN 1 ELSE 0 END) OVER region_of_account AS markets_reached,
    ${share(sum(available) OVER region_of_account; sum(favourites) OVER region_of_account)} AS share,
    min(share) OVER region_of_account AS least_share,
    max(share) OVER region_of_account AS most_share
FROM report_market_coverage
WHERE region IS NOT NULL
WINDOW region_of_account AS (PARTITION BY account, continent, region)
