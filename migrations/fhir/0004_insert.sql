-- Creates are one statement for many rows now, see store::fhir::resource.
DROP FUNCTION insert_resource;
