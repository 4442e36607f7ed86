//! The rules as tables: auth-config §4 and §5 against a small world in memory.

mod access;
mod content;
mod edge;
mod foreign;
mod matrix;
mod process;
mod questionnaire_response;
mod read_tag;
mod task;
mod world;
