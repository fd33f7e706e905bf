-- Three roles for favsync on PostgreSQL (written for 13 and newer, tested on 18), in a database of its own:
--
--   favsync_migrate   owns the schema; only `favsync db upgrade` and backups connect as this one
--   favsync_sync      what the service connects as: reads and writes rows; cannot create, alter or drop anything that stays
--   favsync_report    reads the views and the tables that hold no secret; cannot see `tokens`, cannot write
--
-- Run it in favsync's database as a superuser (or whoever may create roles and owns the database), before the first
-- `favsync db upgrade` and again after each one:
--
--   psql --single-transaction --set ON_ERROR_STOP=1 --file deploy/grants.sql favsync
--
-- Running it again changes nothing. The rights of favsync_sync come by themselves with each new table; those of
-- favsync_report do not, so that a new table with a secret in it is closed until somebody has decided. A view that is built
-- anew by an upgrade keeps its readers. Passwords are not set here: `\password favsync_sync` in psql, or certificates.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['favsync_migrate', 'favsync_sync', 'favsync_report'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name);
        END IF;
    END LOOP;
    -- The roles that run this file must be able to act for the owner, or it could not set the owner's default privileges.
    IF NOT pg_has_role('favsync_migrate', 'MEMBER') THEN
        EXECUTE format('GRANT favsync_migrate TO %I', current_user);
    END IF;
END $$;

ALTER ROLE favsync_sync SET statement_timeout = '10min';
ALTER ROLE favsync_report SET statement_timeout = '1min';
ALTER ROLE favsync_report SET default_transaction_read_only = on;  -- a seat belt: the rights below are what holds

-- The database: nobody else comes in. Syncing stages large sets of rows in temporary tables; reporting needs none.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO favsync_migrate, favsync_sync', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO favsync_report', current_database());
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO favsync_migrate;
GRANT USAGE ON SCHEMA public TO favsync_sync, favsync_report;

-- What a schema that was made by another role brings along gets its proper owner. Sequences follow their tables.
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN
        SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, format('public.%I', c.relname) AS name
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
          AND c.relowner <> 'favsync_migrate'::regrole
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 'FUNCTION', p.oid::regprocedure::text
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.proowner <> 'favsync_migrate'::regrole
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO favsync_migrate', thing.kind, thing.name);
    END LOOP;
END $$;

-- Syncing: rows, on what is there and on what the next upgrade makes.
ALTER DEFAULT PRIVILEGES FOR ROLE favsync_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO favsync_sync;
ALTER DEFAULT PRIVILEGES FOR ROLE favsync_migrate IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO favsync_sync;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO favsync_sync;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO favsync_sync;

-- Reporting: every view; of the tables only those named here. `tokens` is not, and what is not named is closed.
DO $$
DECLARE
    name text;
BEGIN
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM favsync_report;
    FOR name IN
        SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
        UNION ALL
        SELECT each FROM unnest(ARRAY[
            'accounts', 'albums', 'artists', 'digests', 'favourites', 'favsync_version', 'genres', 'market_set_members', 'market_sets',
            'markets', 'raw_blocks', 'raw_items', 'rejects', 'removal_memory', 'runs', 'schedules', 'snapshots', 'track_artists',
            'track_genres', 'track_versions', 'tracks'
        ]) AS each
        WHERE to_regclass('public.' || each) IS NOT NULL
    LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO favsync_report', name);
    END LOOP;
    -- Which schema it has is the migrations' word alone.
    IF to_regclass('public.favsync_version') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON public.favsync_version FROM favsync_sync;
    END IF;
END $$;
