//! Process plugins: packages, their deployment, and the host that runs their code.

pub mod activity;

pub use activity::{Activity, Delivery, Host, Message, Performance, Performed, ProcessId, Tasks};
