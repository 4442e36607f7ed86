-- Who may see a current resource, as one number that indexes can begin with; docs/adr/0014.

-- Each set of access keys that resources of a type have. Rows are only ever added.
CREATE TABLE audience (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type smallint NOT NULL,
    -- Of the keys, which may be longer than an index entry.
    digest bytea NOT NULL,
    keys text[] NOT NULL,
    UNIQUE (type, digest)
);

-- The audience of these keys. A security context is judged row by row, so it makes no audience.
CREATE FUNCTION audience_of(p_type smallint, p_access text[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_keys text[] := p_access;
    v_digest bytea;
    v_id integer;
BEGIN
    IF p_type = 2 THEN
        v_keys := ARRAY(SELECT k FROM unnest(p_access) k WHERE k NOT LIKE 'CONTEXT:%');
    END IF;
    v_digest := sha256(convert_to(v_keys::text, 'UTF8'));
    SELECT id INTO v_id FROM audience WHERE type = p_type AND digest = v_digest;
    IF NOT FOUND THEN
        INSERT INTO audience (type, digest, keys) VALUES (p_type, v_digest, v_keys)
            ON CONFLICT DO NOTHING;
        SELECT id INTO STRICT v_id FROM audience WHERE type = p_type AND digest = v_digest;
    END IF;
    RETURN v_id;
END $$;

ALTER TABLE resource ADD COLUMN audience integer;
UPDATE resource SET audience = audience_of(type, access);
ALTER TABLE resource ALTER COLUMN audience SET NOT NULL;

-- What an audience sees, oldest first: pages and counts touch nothing that others see.
CREATE INDEX resource_by_audience ON resource (audience, last_updated, id) WHERE deleted IS NULL;

-- Ranges and orders of parameters that have one value. The numbers are resource types.
CREATE INDEX resource_date ON resource (audience, ((terms -> 'date' -> 0)::bigint), id)
    WHERE deleted IS NULL AND type IN (1, 4, 9, 11, 13, 20, 23, 26);
CREATE INDEX resource_authored ON resource (audience, ((terms -> 'authored' -> 0)::bigint), id)
    WHERE deleted IS NULL AND type = 21;
CREATE INDEX resource_task_modified ON resource (((terms -> 'modified' -> 0)::bigint), id)
    WHERE deleted IS NULL AND type = 25;
CREATE INDEX resource_url ON resource (type, ((terms -> 'url' ->> 0) COLLATE "C"), id)
    WHERE deleted IS NULL AND type IN (1, 4, 9, 11, 20, 23, 26);
CREATE INDEX resource_address ON resource (((terms -> 'address' ->> 0) COLLATE "C"), id)
    WHERE deleted IS NULL AND type = 6;
CREATE INDEX resource_questionnaire ON resource (((terms -> 'questionnaire' ->> 0) COLLATE "C"), id)
    WHERE deleted IS NULL AND type = 21;

-- Most tokens belong to one resource or to very many; PostgreSQL must be able to tell.
ALTER TABLE resource ALTER COLUMN tokens SET STATISTICS 400;

-- Which rules the tokens and terms of the resources were made by; other ones are made anew at start.
CREATE TABLE search_index (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    rules integer NOT NULL
);
INSERT INTO search_index (rules) VALUES (1);

CREATE OR REPLACE FUNCTION update_resource(
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
    SELECT type INTO v_type FROM resource
        WHERE id = p_id AND version = p_version AND deleted IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO version (id, version, type, last_updated, document, access, context, content, content_size)
        SELECT id, version, type, last_updated, document, access, context, content, content_size
        FROM resource WHERE id = p_id;
    UPDATE resource SET version = p_version + 1, last_updated = p_at, document = p_document,
            access = p_access, context = p_context, keys = p_keys, content = p_content,
            content_size = p_content_size, tokens = p_tokens, terms = p_terms,
            audience = audience_of(v_type, p_access)
        WHERE id = p_id;
    INSERT INTO event (resource, type, version, kind, at)
        VALUES (p_id, v_type, p_version + 1, 2, p_at);
    RETURN true;
END $$;
