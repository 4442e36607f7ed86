//! SQL of the mailbox. One row of `resource` is the current version of a logical id; superseded
//! versions are in `version`; `migrations/fhir/` tells the rest.
//!
//! Statements on the hot path go through diesel's typed queries, because only those keep their
//! prepared form. Everything takes the caller's connection: whether it is a transaction is the
//! caller's business.

pub mod audit;
pub mod binary;
pub mod conformance;
pub mod directory;
pub mod event;
pub mod generations;
pub mod history;
pub mod initial;
pub mod inserts;
pub mod lease;
pub mod many;
pub mod profile;
pub mod reads;
pub mod reindex;
pub mod resource;
pub mod search;
pub mod sweep;
pub mod time;
pub mod unique;

pub use resource::{Content, NewRow, Row};

pub(super) mod tables {
    diesel::table! {
        resource (id) {
            id -> Uuid,
            #[sql_name = "type"]
            kind -> SmallInt,
            version -> BigInt,
            last_updated -> Timestamptz,
            deleted -> Nullable<Timestamptz>,
            document -> Text,
            access -> Array<Text>,
            context -> Nullable<Uuid>,
            keys -> Nullable<Array<Text>>,
            content -> Nullable<Uuid>,
            content_size -> Nullable<BigInt>,
        }
    }

    diesel::table! {
        version (id, number) {
            id -> Uuid,
            #[sql_name = "version"]
            number -> BigInt,
            #[sql_name = "type"]
            kind -> SmallInt,
            last_updated -> Timestamptz,
            document -> Text,
            access -> Array<Text>,
            context -> Nullable<Uuid>,
            content -> Nullable<Uuid>,
            content_size -> Nullable<BigInt>,
        }
    }

    diesel::table! {
        directory (single) {
            single -> Bool,
            generation -> BigInt,
        }
    }

    diesel::table! {
        content (id) {
            id -> Uuid,
            created -> Timestamptz,
        }
    }

    diesel::table! {
        content_chunk (content, number) {
            content -> Uuid,
            number -> Integer,
            bytes -> Binary,
        }
    }

    diesel::table! {
        initial_data (name) {
            name -> Text,
            digest -> Text,
        }
    }

    diesel::allow_tables_to_appear_in_same_query!(resource, version, directory);
}
