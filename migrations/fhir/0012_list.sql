-- What searches have in common. Written out in each of them it was planned each time, because PostgreSQL
-- believes a plan for these values to be better than one for any, and planning took longer than running.
-- In a function it is planned once for each connection; there is one good way, and the planner has no
-- other: on empty tables, or without statistics, it would take a walk through all there is. See
-- docs/adr/0043.

-- The resources of a type that changed since a snapshot: for each, as JSON, whether it is new, document
-- and access keys before the change, and those of now. NULL: these are too many, or too large.
CREATE FUNCTION changes_since(p_type smallint, p_snapshot text, p_most bigint, p_most_bytes bigint)
RETURNS text LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    v_since pg_snapshot := p_snapshot::pg_snapshot;
    v_ids uuid[];
    v_versions bigint[];
    v_created boolean[];
    v_bytes bigint;
    v_changes text;
BEGIN
    SELECT array_agg(c.resource), array_agg(c.version), array_agg(c.created)
        INTO v_ids, v_versions, v_created
        FROM (SELECT e.resource, min(e.version) AS version, bool_or(e.kind = 1) AS created
            FROM event e WHERE e.xid >= pg_snapshot_xmin(v_since)
                AND NOT pg_visible_in_snapshot(e.xid, v_since) AND e.type = p_type
            GROUP BY e.resource LIMIT p_most + 1) c;
    IF v_ids IS NULL THEN
        RETURN '[]';
    END IF;
    IF cardinality(v_ids) > p_most THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(sum(octet_length(d.document)), 0) INTO v_bytes FROM (
        SELECT r.document FROM resource r WHERE r.id = ANY (v_ids)
        UNION ALL
        SELECT v.document FROM unnest(v_ids, v_versions) c (id, version)
            JOIN version v ON v.id = c.id AND v.version = c.version - 1) d;
    IF v_bytes > p_most_bytes THEN
        RETURN NULL;
    END IF;
    -- A deletion keeps the row of the version that it ends.
    SELECT json_agg(json_build_array(c.created, b.document, b.access, n.document, n.access))::text
        INTO v_changes
        FROM unnest(v_ids, v_versions, v_created) c (id, version, created)
        LEFT JOIN LATERAL (
            SELECT v.document, v.access FROM version v WHERE v.id = c.id AND v.version = c.version - 1
            UNION ALL
            SELECT d.document, d.access FROM resource d WHERE d.id = c.id AND d.version = c.version - 1
        ) b ON NOT c.created
        LEFT JOIN resource n ON n.id = c.id AND n.deleted IS NULL;
    RETURN v_changes;
END $$;

-- All of a type that the caller may see, by the time of the last update, which is what is asked for most.
-- The first line: the generation of the directory, which audiences share a key with the caller, and
-- whether there are others. If they are not too many, also the changes since the snapshot that is given,
-- or else the total; and a line for each resource of the page, merged from the beginnings of the lists of
-- the audiences.
CREATE FUNCTION list_resources(
    p_type smallint, p_keys text[], p_most_audiences bigint, p_descending boolean, p_limit bigint,
    p_offset bigint, p_snapshot text, p_most_changes bigint, p_most_bytes bigint
) RETURNS TABLE (
    generation bigint, seen integer[], others boolean, snapshot text, total bigint, changes text,
    id uuid, version bigint, last_updated timestamptz, content uuid, content_size bigint
) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    v_most bigint := p_limit + p_offset;
BEGIN
    SELECT d.generation INTO generation FROM directory d;
    SELECT coalesce(array_agg(a.id ORDER BY a.id) FILTER (WHERE a.keys && p_keys), '{}'),
            coalesce(bool_or(NOT a.keys && p_keys), false)
        INTO seen, others FROM audience a WHERE a.type = p_type;
    IF cardinality(seen) NOT BETWEEN 1 AND p_most_audiences THEN
        RETURN NEXT;
        RETURN;
    END IF;
    snapshot := pg_current_snapshot()::text;
    IF p_snapshot IS NOT NULL THEN
        changes := changes_since(p_type, p_snapshot, p_most_changes, p_most_bytes);
    END IF;
    IF changes IS NULL THEN
        SELECT count(*) INTO total FROM resource r
            WHERE r.deleted IS NULL AND r.audience = ANY (seen);
    END IF;
    RETURN NEXT;
    IF p_descending THEN
        RETURN QUERY SELECT NULL::bigint, NULL::integer[], NULL::boolean, NULL::text, NULL::bigint, NULL::text,
                r.id, r.version, r.last_updated, r.content, r.content_size
            FROM (SELECT l.id FROM unnest(seen) a CROSS JOIN LATERAL (
                    SELECT r.id, r.last_updated FROM resource r WHERE r.deleted IS NULL AND r.audience = a
                    ORDER BY r.last_updated DESC, r.id DESC LIMIT v_most) l
                ORDER BY l.last_updated DESC, l.id DESC LIMIT p_limit OFFSET p_offset) l
            JOIN resource r ON r.id = l.id ORDER BY r.last_updated DESC, r.id DESC;
    ELSE
        RETURN QUERY SELECT NULL::bigint, NULL::integer[], NULL::boolean, NULL::text, NULL::bigint, NULL::text,
                r.id, r.version, r.last_updated, r.content, r.content_size
            FROM (SELECT l.id FROM unnest(seen) a CROSS JOIN LATERAL (
                    SELECT r.id, r.last_updated FROM resource r WHERE r.deleted IS NULL AND r.audience = a
                    ORDER BY r.last_updated, r.id LIMIT v_most) l
                ORDER BY l.last_updated, l.id LIMIT p_limit OFFSET p_offset) l
            JOIN resource r ON r.id = l.id ORDER BY r.last_updated, r.id;
    END IF;
END $$;

-- The documents of these versions that there still are.
CREATE FUNCTION documents_of(p_ids uuid[], p_versions bigint[])
RETURNS TABLE (id uuid, document text) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT a.id, d.document
        FROM unnest(p_ids, p_versions) a (id, version) CROSS JOIN LATERAL (
            SELECT r.document FROM resource r WHERE r.id = a.id AND r.version = a.version
            UNION ALL
            SELECT v.document FROM version v WHERE v.id = a.id AND v.version = a.version) d;
END $$;
