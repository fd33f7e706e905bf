-- Three roles for favsync on PostgreSQL (written for 13 and newer, tested on 18), in a database of its own:
--
--   favsync_migrate   owns the schema; only `favsync db upgrade` and backups connect as this one
--   favsync_sync      the role of the service: reads and writes rows; cannot create, alter or drop anything but temporary tables
--   favsync_report    reads the views and the tables without secrets; of `tokens` only their state; cannot write
--
-- Run it in favsync's database as a superuser (or as a role that can create roles and owns the database), before the first
-- `favsync db upgrade` and again after each one:
--
--   psql --single-transaction --set ON_ERROR_STOP=1 --file deploy/grants.sql favsync
--
-- Running it again changes nothing. favsync_sync gets its rights on each new table automatically. favsync_report does not, so a
-- new table with secrets is closed until it is named below. A view that an upgrade creates again keeps its readers. Passwords
-- are not set here: use `\password favsync_sync` in psql, or certificates.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['favsync_migrate', 'favsync_sync', 'favsync_report'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name);
        END IF;
    END LOOP;
    -- The role that runs this file must be a member of the owner to set the owner's default privileges.
    IF NOT pg_has_role('favsync_migrate', 'MEMBER') THEN
        EXECUTE format('GRANT favsync_migrate TO %I', current_user);
    END IF;
END $$;

ALTER ROLE favsync_sync SET statement_timeout = '10min';
ALTER ROLE favsync_report SET statement_timeout = '1min';
ALTER ROLE favsync_report SET default_transaction_read_only = on;  -- in addition to the rights below

-- The database: no other role can connect. Syncs stage large sets of rows in temporary tables; reports need none.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO favsync_migrate, favsync_sync', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO favsync_report', current_database());
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO favsync_migrate;
GRANT USAGE ON SCHEMA public TO favsync_sync, favsync_report;

-- Tables, views and functions that another role created get favsync_migrate as owner. Sequences follow their tables.
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

-- Syncs: rows of existing tables and of those that the next upgrade creates.
ALTER DEFAULT PRIVILEGES FOR ROLE favsync_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO favsync_sync;
ALTER DEFAULT PRIVILEGES FOR ROLE favsync_migrate IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO favsync_sync;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO favsync_sync;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO favsync_sync;

-- Reports: every view, and only the tables named here. Others, such as the secrets of `tokens`, are closed.
DO $$
DECLARE
    name text;
BEGIN
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM favsync_report;
    FOR name IN
        SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
        UNION ALL
        SELECT each FROM unnest(ARRAY[
            'accounts', 'albums', 'artists', 'budgets', 'digests', 'favourites', 'favsync_version', 'genres', 'market_set_members', 'market_sets',
            'markets', 'raw_blocks', 'raw_items', 'rejects', 'removal_memory', 'runs', 'schedules', 'snapshots', 'superseded_versions', 'track_artists',
            'track_genres', 'tracks'
        ]) AS each
        WHERE to_regclass('public.' || each) IS NOT NULL
    LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO favsync_report', name);
    END LOOP;
    -- The state of tokens for `favsync status` and `favsync accounts list`; not the tokens, nor where they are.
    IF to_regclass('public.tokens') IS NOT NULL THEN
        GRANT SELECT (account_id, place, updated_at, is_renewable, state, reason, suspect_since, expires_at)
            ON public.tokens TO favsync_report;
    END IF;
    -- Only migrations change the version of the schema.
    IF to_regclass('public.favsync_version') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON public.favsync_version FROM favsync_sync;
    END IF;
END $$;
