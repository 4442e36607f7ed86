-- Resources of the mailbox. One row of `resource` is the current version of one logical id;
-- what an update supersedes moves to `version` in the same statement. See docs/adr.

-- Counts the changes of what authorisation and reference resolution lean on (Organization,
-- OrganizationAffiliation, Endpoint, NamingSystem, ActivityDefinition). Nodes keep a copy of those
-- resources and prove with this number, within each statement, that the copy is still true.
CREATE TABLE directory (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    generation bigint NOT NULL
);
INSERT INTO directory (generation) VALUES (1);

CREATE TABLE resource (
    id uuid PRIMARY KEY,
    type smallint NOT NULL,
    version bigint NOT NULL,
    last_updated timestamptz NOT NULL,
    -- When it was deleted; the deletion counts as version + 1.
    deleted timestamptz,
    -- The JSON document with id and meta; Binary content is in `content_chunk`.
    document text NOT NULL,
    -- Who may read: ALL, LOCAL, ORG:<identifier>, ROLE:<parent>|<system>|<code>.
    access text[] NOT NULL,
    -- Binary only: readable for whoever may read this resource.
    context uuid,
    -- What must be unique among the current resources of the type; NULL where nothing is.
    keys text[],
    content uuid,
    content_size bigint
);
CREATE INDEX resource_by_time ON resource (type, last_updated, id);
CREATE INDEX resource_keys ON resource USING gin (keys) WHERE keys IS NOT NULL AND deleted IS NULL;

CREATE TABLE version (
    id uuid NOT NULL,
    version bigint NOT NULL,
    type smallint NOT NULL,
    last_updated timestamptz NOT NULL,
    document text NOT NULL,
    access text[] NOT NULL,
    context uuid,
    content uuid,
    content_size bigint,
    PRIMARY KEY (id, version)
);
CREATE INDEX version_by_time ON version (type, last_updated, id);

-- What happened, for subscriptions. Ordered by (xid, id) and read below the oldest running
-- transaction, so that a late commit is never skipped.
CREATE TABLE event (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    resource uuid NOT NULL,
    type smallint NOT NULL,
    version bigint NOT NULL,
    -- 1 created, 2 updated, 3 deleted
    kind smallint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (xid, id)
);

-- Raw content. It is written before the resource that owns it; what nobody owns is swept.
CREATE TABLE content (
    id uuid PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE content_chunk (
    content uuid NOT NULL REFERENCES content ON DELETE CASCADE,
    number integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (content, number)
);
-- Content is often compressed already, and pieces of it are read by range.
ALTER TABLE content_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Creates that carried an Idempotency-Key.
CREATE TABLE idempotency (
    owner text NOT NULL,
    key text NOT NULL,
    resource uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (owner, key)
);

-- Digests of the embedded and initial resources that were loaded last.
CREATE TABLE initial_data (
    name text PRIMARY KEY,
    digest text NOT NULL
);

-- The next functions also fill what the search adds to `resource`: tokens and terms.

-- Stores version 1. NULL: the directory is no longer the one the caller decided by.
-- Another id than the given one: the resource that this idempotency key made before.
CREATE FUNCTION insert_resource(
    p_generation bigint, p_id uuid, p_type smallint, p_at timestamptz, p_document text,
    p_access text[], p_context uuid, p_keys text[], p_content uuid, p_content_size bigint,
    p_tokens text[], p_terms jsonb, p_owner text, p_key text
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v_earlier uuid;
BEGIN
    PERFORM 1 FROM directory WHERE generation = p_generation;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency (owner, key, resource, at) VALUES (p_owner, p_key, p_id, p_at)
            ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT resource INTO v_earlier FROM idempotency WHERE owner = p_owner AND key = p_key;
            RETURN v_earlier;
        END IF;
    END IF;
    INSERT INTO resource (id, type, version, last_updated, document, access, context, keys,
            content, content_size, tokens, terms)
        VALUES (p_id, p_type, 1, p_at, p_document, p_access, p_context, p_keys,
            p_content, p_content_size, p_tokens, p_terms);
    INSERT INTO event (resource, type, version, kind, at) VALUES (p_id, p_type, 1, 1, p_at);
    RETURN p_id;
END $$;

-- Replaces version p_version by the next one. False: it is no longer the current one, or the
-- directory has changed.
CREATE FUNCTION update_resource(
    p_generation bigint, p_id uuid, p_version bigint, p_at timestamptz, p_document text,
    p_access text[], p_context uuid, p_keys text[], p_content uuid, p_content_size bigint,
    p_tokens text[], p_terms jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_type smallint;
BEGIN
    PERFORM 1 FROM directory WHERE generation = p_generation;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM resource WHERE id = p_id AND version = p_version AND deleted IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO version (id, version, type, last_updated, document, access, context, content, content_size)
        SELECT id, version, type, last_updated, document, access, context, content, content_size
        FROM resource WHERE id = p_id;
    UPDATE resource SET version = p_version + 1, last_updated = p_at, document = p_document,
            access = p_access, context = p_context, keys = p_keys, content = p_content,
            content_size = p_content_size, tokens = p_tokens, terms = p_terms
        WHERE id = p_id RETURNING type INTO v_type;
    INSERT INTO event (resource, type, version, kind, at)
        VALUES (p_id, v_type, p_version + 1, 2, p_at);
    RETURN true;
END $$;

-- Marks the current version as deleted. False: as above.
CREATE FUNCTION delete_resource(
    p_generation bigint, p_id uuid, p_version bigint, p_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_type smallint;
BEGIN
    PERFORM 1 FROM directory WHERE generation = p_generation;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE resource SET deleted = p_at
        WHERE id = p_id AND version = p_version AND deleted IS NULL RETURNING type INTO v_type;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO event (resource, type, version, kind, at)
        VALUES (p_id, v_type, p_version + 1, 3, p_at);
    RETURN true;
END $$;
