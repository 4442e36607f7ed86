//! The commands: each reads its arguments, asks the floors below, prints, and answers an exit
//! code. The only place where errors lose their type (anyhow).

pub mod cert;
pub mod config;
pub mod db;
pub mod dev;
pub mod healthcheck;
pub mod plugin;
pub mod serve;
pub mod table;
