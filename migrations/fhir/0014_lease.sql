-- Who may answer reads from memory; see docs/adr/0044.
--
-- A node holds the lease for some seconds at a time. Meanwhile nobody else changes a resource: whoever
-- wants to waits until it has run out, and it is not prolonged while somebody waits.
--
-- Locks (1146307656, n), for as long as a transaction lasts:
--   1  shared: of those who change a resource and have no lease; exclusive: of who takes or prolongs it
--   2  shared: of the holder while it changes a resource; exclusive: of who takes it
-- Both are taken in the order 2, 1.
CREATE TABLE read_lease (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    node text NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO read_lease (node, until) VALUES ('', '-infinity');

-- Also those who connect without the settings of a node, an administrator for example, wait for it.
CREATE FUNCTION await_read_lease() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    v_node text := coalesce(current_setting('dsf.node', true), '');
BEGIN
    IF EXISTS (SELECT FROM read_lease WHERE node = v_node AND until > clock_timestamp()) THEN
        PERFORM pg_advisory_xact_lock_shared(1146307656, 2);
        -- Once more: it may have run out before there was a lock that keeps others from taking it.
        IF EXISTS (SELECT FROM read_lease WHERE node = v_node AND until > clock_timestamp()) THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1146307656, 1);
    WHILE EXISTS (SELECT FROM read_lease WHERE node <> v_node AND until > clock_timestamp()) LOOP
        -- It may be given back before it has run out.
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER await_read_lease BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON resource
    FOR EACH STATEMENT EXECUTE FUNCTION await_read_lease();
CREATE TRIGGER await_read_lease BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON directory
    FOR EACH STATEMENT EXECUTE FUNCTION await_read_lease();

-- Takes the lease, unless another node has it or is connected at all: it would only be in the way of
-- its changes. Waits a moment for changes that are under way.
CREATE FUNCTION take_read_lease(p_node text, p_application text, p_lasts interval) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '50ms' AS $$
BEGIN
    IF has_company(p_application) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(1146307656, 2);
    PERFORM pg_advisory_xact_lock(1146307656, 1);
    UPDATE read_lease SET node = p_node, until = clock_timestamp() + p_lasts
        WHERE node = p_node OR until <= clock_timestamp();
    RETURN FOUND;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- Prolongs the lease of its holder, unless somebody waits for its end or another node has come.
CREATE FUNCTION prolong_read_lease(p_node text, p_application text, p_lasts interval) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF has_company(p_application) OR NOT pg_try_advisory_xact_lock(1146307656, 1) THEN
        RETURN false;
    END IF;
    UPDATE read_lease SET until = clock_timestamp() + p_lasts
        WHERE node = p_node AND until > clock_timestamp();
    RETURN FOUND;
END $$;

-- Whether other nodes than the one with this application name are connected.
CREATE FUNCTION has_company(p_application text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND starts_with(application_name, 'dsf-fhir') AND application_name <> p_application)
$$;
