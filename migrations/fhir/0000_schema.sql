-- The schema itself is made by the runner, which needs a place for its bookkeeping first.
COMMENT ON SCHEMA fhir IS 'FHIR role of dsf: resources, versions, search terms, events';
